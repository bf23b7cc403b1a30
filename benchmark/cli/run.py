"""`bench run` and `bench collect`."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmark.cli.errors import explained
from benchmark.cli.option_types import whole
from benchmark.cli.options import (
    Data,
    Device,
    EncodersOnly,
    Head,
    Json,
    Observe,
    Out,
    Overrides,
    Policy,
    Protocol,
    Suite,
    Tasks,
    Text,
    WeightsOption,
    app,
    echo,
    parse_seeds,
    print_json,
    say_encoders_only,
    say_observe,
    say_text,
    split,
    width,
)
from benchmark.experiment.place_policy import place_policy
from benchmark.settings.catalog import register_baselines
from benchmark.system.progress import say


@app.command()
@explained
def run(
    suite: Suite = "metaworld-15",
    method: Annotated[
        str | None, typer.Option("--method", help="a name, path/to/file.py:Class, or several by comma")
    ] = None,
    tasks: Tasks = None,
    head: Head = None,
    policy: Policy = None,
    seeds: Annotated[str, typer.Option("--seeds", help="0 | 0,2 | 0:3")] = "0",
    weights: WeightsOption = None,
    encoders_only: EncodersOnly = False,
    protocol: Protocol = "clar",
    text: Text = None,
    observe: Observe = None,
    shift: Annotated[
        str | None, typer.Option("--shift", help="also retest with the camera moved: azimuth=-40:40:10,elevation=...")
    ] = None,
    device: Device = "auto",
    log: Annotated[str, typer.Option("--log", help="none | tensorboard | wandb: curves while it runs")] = "none",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="print what would be done, and do nothing")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="run again what is up to date")] = False,
    no_rollouts: Annotated[
        bool, typer.Option("--no-rollouts", help="only train, and give the losses on held-out demonstrations")
    ] = False,
    launcher: Annotated[
        str | None, typer.Option("--launcher", help="as `bench sweep`: slurm | local | a profile; launcher.FIELD=VALUE")
    ] = None,
    out: Out = Path("runs"),
    data: Data = None,
    as_json: Json = False,
    overrides: Overrides = None,
) -> None:
    """Train and score methods on a suite. Run again, it does only what is missing."""
    from benchmark.experiment.make_cells import make_cells, preflight
    from benchmark.experiment.outline import outline
    from benchmark.experiment.retest_shifted import moved_cameras
    from benchmark.records.paths import Paths
    from benchmark.settings.load import load_settings
    from benchmark.system.errors import ConfigError

    chosen, head = place_policy(policy, split(method, "--method"), head)
    if chosen is None:
        raise ConfigError("--method is missing; `bench list methods` names them, path/to/file.py:Class is yours")
    overrides = [*(overrides or []), *say_text(suite, text), *say_observe(observe)]
    overrides += say_encoders_only(encoders_only, overrides)
    if device != "auto":
        overrides.append(f"runtime.device={device}")
    if log != "none":
        overrides.append(f"runtime.log={log}")
    others = {"--shift": shift is not None, "--dry-run": dry_run, "--launcher": launcher is not None}
    if no_rollouts and (given := [name for name, asked in others.items() if asked]):
        raise ConfigError(f"--no-rollouts does not go with {given[0]}")
    if launcher is not None:
        if shift is not None:
            raise ConfigError("--shift does not go with --launcher; run it afterwards, or name cameras in suite.shift")
        if overwrite:
            raise ConfigError("--overwrite does not go with --launcher; remove the records, or use another --out")
        what = (suite, protocol, head, overrides, split(tasks, "--tasks"), chosen, parse_seeds(seeds), weights)
        from benchmark.cli.sweep import launch_cells

        launch_cells(*what, launcher, name=None, any_code=False, dry_run=dry_run, out=out, data=data, as_json=as_json)
        return
    register_baselines()  # one of them may be a policy, in the place of a head
    settings = load_settings(suite, protocol, head, overrides)
    paths = Paths(out, data or out / "data")
    shifts = moved_cameras(settings, shift)
    what_for = (settings, split(tasks, "--tasks"), chosen, parse_seeds(seeds), weights)
    if dry_run and (outlined := outline(*what_for)):
        print_json(outlined) if as_json else echo(outlined["text"])
        return
    cells = make_cells(*what_for)
    if no_rollouts:
        print_trained(cells, paths, overwrite, as_json)
        return
    preflight(cells)
    if dry_run:
        from benchmark.experiment.dry_run import describe, plan

        planned = plan(cells, paths, shifts)
        print_json(planned) if as_json else echo(describe(planned))
        return
    from benchmark.experiment.run_cells import run_cells

    outcome = run_cells(cells, paths, shlex.join(["bench", *sys.argv[1:]]), overwrite, shifts)
    if as_json:
        print_json(outcome.as_dict())
    else:
        echo(outcome.as_text(width()))
    if outcome.exit_code:
        raise typer.Exit(outcome.exit_code)


def print_trained(cells: Any, paths: Any, overwrite: bool, as_json: bool) -> None:
    """`bench run --no-rollouts`."""
    from benchmark.experiment.train_only import as_text, train_cells

    trained = train_cells(cells, paths, shlex.join(["bench", *sys.argv[1:]]), overwrite)
    if as_json:
        print_json([{"file": str(path), **data} for path, data in trained.done] + trained.failed)
    else:
        echo(as_text(trained))
    if trained.failed:
        raise typer.Exit(1)


@app.command()
@explained
def collect(
    suite: Suite = "metaworld-15",
    tasks: Tasks = None,
    protocol: Protocol = "clar",
    method: Annotated[
        str | None, typer.Option("--method", help="whose observation is stored where a simulator restores no state")
    ] = None,
    demos: Annotated[
        int | None,
        typer.Option("--demos", parser=whole(1, 100_000), metavar="N", help="as protocol.train_demos=N"),
    ] = None,
    out: Out = Path("runs"),
    data: Data = None,
    as_json: Json = False,
    overrides: Overrides = None,
) -> None:
    """Collect and check demonstrations, without training."""
    from benchmark.data.collect_demos import demo_path, forecast, load_or_collect
    from benchmark.settings.load import load_settings
    from benchmark.settings.machine import resolve_workers

    more = [] if demos is None else [f"protocol.train_demos={demos}"]
    settings = load_settings(suite, protocol, "mlp", [*(overrides or []), *more])
    root, s = data or out / "data", settings.suite
    request = settings.request(s.stores, None) if s.stores else None
    if method is not None:
        from benchmark.experiment.cell import observed
        from methods.registry import class_of

        register_baselines()
        request = settings.stored(observed(settings, [class_of(method).card]))
    found: list[dict[str, Any]] = []
    for task in s.select(split(tasks, "--tasks")):
        workers = resolve_workers(settings.runtime)
        rules = settings.of_task(task)
        path = demo_path(root, s.name, s.env, task, rules, settings.env_python, request)
        if said := forecast(path, s.name, s.env, task, rules, workers, settings.env_python):
            say(said)
        collected = load_or_collect(root, s.name, s.env, task, rules, workers, settings.env_python, request)
        found.append(
            {
                "task": task,
                "path": str(path),
                "demos": len(collected.seeds),
                "attempts": collected.attempts,
                "sha256": collected.content_hash,
                "bytes": path.stat().st_size,
            }
        )
    if as_json:
        print_json(found)
        return
    p = settings.protocol
    echo(
        f"For {p.name}: {p.train_demos} to train on, {p.valid_demos} held out. Another protocol finds them if "
        "it has the same numbers."
    )
    for row in found:
        echo(
            f"{row['task']:<20} {row['demos']} demonstrations in {row['attempts']} attempts, "
            f"{row['bytes'] / 1e6:.1f} MB, sha256 {row['sha256'][:12]}, {row['path']}"
        )
