"""The verbs about many cells: `bench sweep`, `status`, `cancel`, `retry`, `logs`."""

from __future__ import annotations

import shlex
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmark.cli_errors import explained
from benchmark.cli_options import (
    Data,
    Head,
    Json,
    Out,
    Protocol,
    Suite,
    Tasks,
    Text,
    WeightsOption,
    app,
    parse_seeds,
    print_json,
    register_baselines,
    say_text,
    split,
    width,
)
from benchmark.progress import say

Name = Annotated[str | None, typer.Argument(metavar="[SWEEP]", help="default: the newest")]
Launcher = Annotated[str, typer.Option("--launcher", help="local | slurm | debug | a profile of yours")]


@app.command()
@explained
def sweep(
    method: Annotated[str, typer.Option("--method", help="several by comma")],
    suite: Suite = "metaworld-15",
    tasks: Tasks = None,
    head: Head = None,
    seeds: Annotated[str, typer.Option("--seeds", help="0 | 0,2 | 0:3")] = "0",
    protocol: Protocol = "clar",
    weights: WeightsOption = None,
    text: Text = None,
    launcher: Launcher = "local",
    partition: Annotated[str | None, typer.Option("--partition")] = None,
    gpus: Annotated[str | None, typer.Option("--gpus", help="for each job, such as 1 or a100:1")] = None,
    cpus: Annotated[int | None, typer.Option("--cpus", help="for each job")] = None,
    mem: Annotated[str | None, typer.Option("--mem", help="for each job, such as 16GB")] = None,
    time_: Annotated[int | None, typer.Option("--time", help="minutes; a longer cell comes back and goes on")] = None,
    array_parallelism: Annotated[int | None, typer.Option("--array-parallelism", help="jobs at once")] = None,
    qos: Annotated[str | None, typer.Option("--qos")] = None,
    account: Annotated[str | None, typer.Option("--account")] = None,
    constraint: Annotated[str | None, typer.Option("--constraint")] = None,
    name: Annotated[str | None, typer.Option("--name", help="default: made from the cells")] = None,
    any_code: Annotated[bool, typer.Option("--any-code", help="go on with a sweep that other code began")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="print cells, jobs, order and hours; do nothing")] = False,
    out: Out = Path("runs"),
    data: Data = None,
    as_json: Json = False,
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY=VALUE]...", help="Hydra overrides, and launcher.FIELD=VALUE for any sbatch field"),
    ] = None,
) -> None:
    """Run every missing cell of methods x tasks x seeds. Issued again, it goes on."""
    flags = {
        "partition": partition, "gpus": gpus, "cpus": cpus, "mem": mem, "time": time_,
        "array_parallelism": array_parallelism, "qos": qos, "account": account, "constraint": constraint,
    }  # fmt: skip
    given = [f"launcher.{key}={value}" for key, value in flags.items() if value is not None]
    if suite == "clar-ablation" and weights is None and has_pretraining(method):
        from benchmark.cli_ablation import run_ablation

        run_ablation(suite, method, None, ["metaworld-35"], "clip", split(tasks), head, parse_seeds(seeds), protocol,
                     launcher, None, dry_run, out, data, as_json, [*(overrides or []), *given], any_code,
                     name)  # fmt: skip
        return
    changes = [*(overrides or []), *say_text(suite, text), *given]
    what = (suite, protocol, head, changes, split(tasks), split(method) or [], parse_seeds(seeds))
    launch_cells(*what, weights, launcher, name, any_code, dry_run, out, data, as_json)


def has_pretraining(method: str) -> bool:
    """Whether `bench pretrain` makes this method's weights; any other is swept over the suite's tasks as it is."""
    from benchmark.config import choices

    return method in choices("pretrain")


def launch_cells(
    suite: str, protocol: str, head: str | None, overrides: list[str], tasks: list[str] | None, methods: list[str],
    seeds: list[int], weights: str | None, launcher: str, name: str | None, any_code: bool, dry_run: bool, out: Path,
    data: Path | None, as_json: bool,
) -> None:  # fmt: skip
    """What `bench sweep` and `bench run --launcher` do."""
    from benchmark.cell import Paths, preflight
    from benchmark.launch.forecast import forecast
    from benchmark.launch.go import launch
    from benchmark.launch.profile import load_profile, take_launcher_options
    from benchmark.launch.spec import specs_of
    from benchmark.launch.sweep import make_sweep
    from benchmark.provenance import git_state

    register_baselines()
    changes, overrides = take_launcher_options(overrides)
    profile = load_profile(launcher, changes)
    paths = Paths(out, data or out / "data")
    cells = specs_of(suite, protocol, head, overrides, tasks, methods, seeds, weights)
    if profile["kind"] != "slurm":
        preflight([cell for _, cell in cells])  # this machine runs them; a cluster's login node need not be able to
    code = git_state()
    if code["dirty"]:
        say("this checkout has local changes; the sweep and its records say so")
    command = shlex.join(["bench", *sys.argv[1:]])
    made = make_sweep(cells, paths, command, code, profile, name, any_code, write=not dry_run)
    outcome = forecast(made, profile) if dry_run else launch(made, profile)
    print_json(outcome) if as_json else typer.echo(outcome["text"])
    _exit(outcome)


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
    """How a sweep stands: waiting, running, stopped, failed and why, done."""
    import dataclasses

    from benchmark.launch.status import states, status_table
    from benchmark.launch.sweep_file import find
    from benchmark.report.table import render

    while True:
        found = find(out, name)
        cells = states(found)
        if as_json:
            print_json([dataclasses.asdict(cell) for cell in cells])
        else:
            if watch:
                typer.echo("\033[2J\033[H", nl=False)
            typer.echo(render(status_table(found, cells, everything), "terminal", width()), nl=False)
        if not watch:
            return
        time.sleep(5)


@app.command()
@explained
def cancel(name: Name = None, out: Out = Path("runs")) -> None:
    """Stop a sweep: its Slurm jobs, and its cells on this machine."""
    from benchmark.launch.local import cancel as cancel_local
    from benchmark.launch.slurm import cancel as cancel_slurm
    from benchmark.launch.sweep_file import find

    found = find(out, name)
    stopped = [f"Slurm jobs {', '.join(arrays)}"] if (arrays := cancel_slurm(found)) else []
    if process := cancel_local(found):
        stopped.append(f"process {process} on this machine")
    typer.echo(f"{found.name}: {'cancelled ' + ' and '.join(stopped) if stopped else 'nothing of it is running'}")


@app.command()
@explained
def retry(
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="[SWEEP] [launcher.FIELD=VALUE]...", help="default: the newest, as it was launched"),
    ] = None,
    failed: Annotated[bool, typer.Option("--failed", help="the failed cells, which is also the default")] = True,
    launcher: Annotated[str | None, typer.Option("--launcher", help="another than it was launched with")] = None,
    any_code: Annotated[bool, typer.Option("--any-code", help="the code has changed since, on purpose")] = False,
    out: Out = Path("runs"),
    as_json: Json = False,
) -> None:
    """Run a sweep's failed cells again, from their last checkpoints."""
    from benchmark.launch.go import launch
    from benchmark.launch.profile import change_profile, load_profile, take_launcher_options
    from benchmark.launch.status import states
    from benchmark.launch.sweep import CELLS, renew_code
    from benchmark.launch.sweep_file import find
    from benchmark.protocol import ConfigError
    from benchmark.provenance import git_state

    changes, rest = take_launcher_options(words or [])
    if len(rest) > 1 or any("=" in word for word in rest):
        raise ConfigError(f"{rest[-1]}: give one sweep and launcher.FIELD=VALUE; a sweep's settings are its own")
    found = renew_code(find(out, rest[0] if rest else None), git_state(), any_code)
    profile = load_profile(launcher, changes) if launcher else change_profile(found.profile, changes, found.name)
    numbers = [number for number, cell in enumerate(states(found)) if cell.state == "failed"]
    if not numbers:
        typer.echo(f"{found.name}: no cell has failed")
        return
    if found.work == CELLS:
        from benchmark.launch.cells import renew

        found = renew(found, numbers)
    for number in numbers:
        (found.entries[number].work / "error.txt").unlink(missing_ok=True)
    outcome = launch(found, profile, numbers)
    print_json(outcome) if as_json else typer.echo(outcome["text"])
    _exit(outcome)


@app.command()
@explained
def logs(
    cell: Annotated[str, typer.Argument(help="a cell's label or a part of it, such as reach/dp3")],
    follow: Annotated[bool, typer.Option("-f", "--follow", help="go on as it is written, until Ctrl-C")] = False,
    name: Annotated[str | None, typer.Option("--sweep", help="default: the newest")] = None,
    out: Out = Path("runs"),
) -> None:
    """What a cell has said, and its traceback if it failed."""
    from benchmark.launch.logs import find_cell, follow_logs, logs_of
    from benchmark.launch.sweep_file import find

    found = find(out, name)
    number = find_cell(found, cell)
    if follow:
        follow_logs(found, number, typer.echo)
        return
    files = logs_of(found, number)
    for file in files:
        typer.echo(f"== {file}")
        typer.echo(file.read_text(errors="replace").rstrip())
    if not files:
        typer.echo(f"{found.entries[number].label} has said nothing yet")


def _exit(outcome: dict[str, Any]) -> None:
    if outcome.get("failed"):
        raise typer.Exit(1)
    if outcome.get("busy"):
        raise typer.Exit(3)
