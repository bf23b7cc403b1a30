"""What becomes of a sweep: `bench status`, `cancel`, `retry`, `logs`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from benchmark.cli.errors import explained
from benchmark.cli.options import (
    Json,
    Out,
    app,
    clear,
    echo,
    print_json,
    width,
)
from benchmark.cli.sweep import exit_with

Name = Annotated[str | None, typer.Argument(metavar="[SWEEP]", help="default: the newest")]


@app.command()
@explained
def status(
    name: Name = None,
    watch: Annotated[bool, typer.Option("--watch", help="again every 5 s, until Ctrl-C")] = False,
    everything: Annotated[
        bool, typer.Option("--all", help="every cell of a large sweep, done and waiting ones")
    ] = False,
    out: Out = Path("runs"),
    as_json: Json = False,
) -> None:
    """Show how a sweep stands: waiting, running, failed, done."""
    import dataclasses

    from benchmark.launch.status import states, status_table
    from benchmark.launch.sweep_file import find
    from benchmark.report.tables.forms import render

    while True:
        found = find(out, name)
        cells = states(found)
        if as_json:
            print_json([dataclasses.asdict(cell) for cell in cells])
        else:
            if watch:
                clear()
            echo(render(status_table(found, cells, everything), "terminal", width()), nl=False)
        if not watch:
            return
        time.sleep(5)


@app.command()
@explained
def cancel(name: Name = None, out: Out = Path("runs")) -> None:
    """Stop a sweep: its Slurm jobs and its local processes."""
    from benchmark.launch.local import cancel as cancel_local
    from benchmark.launch.slurm import cancel as cancel_slurm
    from benchmark.launch.sweep_file import find

    found = find(out, name)
    stopped = [f"Slurm jobs {', '.join(arrays)}"] if (arrays := cancel_slurm(found)) else []
    if process := cancel_local(found):
        stopped.append(f"process {process} on this machine")
    echo(f"{found.name}: {'cancelled ' + ' and '.join(stopped) if stopped else 'nothing of it is running'}")


@app.command()
@explained
def retry(
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="[SWEEP] [launcher.FIELD=VALUE]...", help="default: the newest, as it was launched"),
    ] = None,
    launcher: Annotated[str | None, typer.Option("--launcher", help="another than it was launched with")] = None,
    any_code: Annotated[bool, typer.Option("--any-code", help="the code has changed since, on purpose")] = False,
    out: Out = Path("runs"),
    as_json: Json = False,
) -> None:
    """Run a sweep's failed runs again from their checkpoints."""
    from benchmark.launch.make_sweep import CELLS, renew_code
    from benchmark.launch.profile import change_profile, load_profile, take_launcher_options
    from benchmark.launch.start_sweep import launch
    from benchmark.launch.status import states
    from benchmark.launch.sweep_file import find
    from benchmark.system.errors import ConfigError
    from benchmark.system.provenance import git_state

    changes, rest = take_launcher_options(words or [])
    if len(rest) > 1 or any("=" in word for word in rest):
        raise ConfigError(f"{rest[-1]}: give one sweep and launcher.FIELD=VALUE; a sweep's settings are its own")
    found = renew_code(find(out, rest[0] if rest else None), git_state(), any_code)
    profile = load_profile(launcher, changes) if launcher else change_profile(found.profile, changes, found.name)
    numbers = [number for number, cell in enumerate(states(found)) if cell.state == "failed"]
    if not numbers:
        echo(f"{found.name}: no cell has failed")
        return
    if found.work == CELLS:
        from benchmark.launch.cell_work import renew

        found = renew(found, numbers)
    for number in numbers:
        (found.entries[number].work / "error.txt").unlink(missing_ok=True)
    outcome = launch(found, profile, numbers)
    print_json(outcome) if as_json else echo(outcome["text"])
    exit_with(outcome)


@app.command()
@explained
def logs(
    cell: Annotated[str, typer.Argument(help="a cell's label or a part of it, such as reach/dp3")],
    follow: Annotated[bool, typer.Option("-f", "--follow", help="follow the log until Ctrl-C")] = False,
    name: Annotated[str | None, typer.Option("--sweep", help="default: the newest")] = None,
    out: Out = Path("runs"),
) -> None:
    """Show the log of one run, and its traceback if it failed."""
    from benchmark.launch.logs import find_cell, follow_logs, logs_of
    from benchmark.launch.sweep_file import find

    found = find(out, name)
    number = find_cell(found, cell)
    if follow:
        follow_logs(found, number, echo)
        return
    files = logs_of(found, number)
    for file in files:
        echo(f"== {file}")
        echo(file.read_text(errors="replace").rstrip())
    if not files:
        echo(f"{found.entries[number].label} has said nothing yet")
