"""`bench`: every verb parses, calls one function and prints. What takes long to import is imported inside."""

from __future__ import annotations

import importlib
import shlex
import sys
import traceback
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmark.cli_errors import explained
from benchmark.cli_options import (
    Data,
    Head,
    Json,
    Out,
    Overrides,
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
)


@app.command()
@explained
def run(
    suite: Suite = "metaworld-15",
    method: Annotated[str, typer.Option("--method", help="a name, path/to/file.py:Class, or several by comma")] = "",
    tasks: Tasks = None,
    head: Head = None,
    seeds: Annotated[str, typer.Option("--seeds", help="0 | 0,2 | 0:3")] = "0",
    weights: WeightsOption = None,
    protocol: Protocol = "clar",
    text: Text = None,
    shift: Annotated[
        str | None, typer.Option("--shift", help="also retest with the camera moved: azimuth=-40:40:10,elevation=...")
    ] = None,
    device: Annotated[str, typer.Option("--device", help="auto | cpu | cuda")] = "auto",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="print what would be done, and do nothing")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="compute again what is there")] = False,
    launcher: Annotated[
        str | None, typer.Option("--launcher", help="as `bench sweep`: slurm | local | a profile; launcher.FIELD=VALUE")
    ] = None,
    out: Out = Path("runs"),
    data: Data = None,
    as_json: Json = False,
    overrides: Overrides = None,
) -> None:
    """Train and score methods on a suite. Issued again, it does only what is missing."""
    from benchmark.cell import Paths, make_cells, preflight
    from benchmark.config import load_settings
    from benchmark.protocol import ConfigError
    from benchmark.shifting import moved_cameras

    if not method:
        raise ConfigError("--method is missing; `bench list methods` names them, path/to/file.py:Class is yours")
    overrides = [*(overrides or []), *say_text(suite, text), f"runtime.device={device}"]
    if launcher is not None:
        if shift is not None:
            raise ConfigError("--shift does not go with --launcher; run it afterwards, or name cameras in suite.shift")
        if overwrite:
            raise ConfigError("--overwrite does not go with --launcher; remove the records, or use another --out")
        what = (suite, protocol, head, overrides, split(tasks), split(method) or [], parse_seeds(seeds), weights)
        from benchmark.cli_sweep import launch_cells

        launch_cells(*what, launcher, name=None, any_code=False, dry_run=dry_run, out=out, data=data, as_json=as_json)
        return
    settings = load_settings(suite, protocol, head, overrides)
    paths = Paths(out, data or out / "data")
    register_baselines()
    cells = make_cells(settings, split(tasks), split(method) or [], parse_seeds(seeds), weights)
    preflight(cells)
    shifts = moved_cameras(settings, shift)
    if dry_run:
        from benchmark.plan import describe, plan

        planned = plan(cells, paths)
        print_json(planned) if as_json else typer.echo(describe(planned))
        return
    from benchmark.runner import run_cells

    outcome = run_cells(cells, paths, shlex.join(["bench", *sys.argv[1:]]), overwrite, shifts)
    if as_json:
        print_json(outcome.as_dict())
    else:
        typer.echo(outcome.as_text())
    if outcome.exit_code:
        raise typer.Exit(outcome.exit_code)


@app.command()
@explained
def collect(
    suite: Suite = "metaworld-15",
    tasks: Tasks = None,
    protocol: Protocol = "clar",
    out: Out = Path("runs"),
    data: Data = None,
    as_json: Json = False,
    overrides: Overrides = None,
) -> None:
    """Collect and verify demonstrations only."""
    from benchmark.config import load_settings
    from benchmark.data.demos import demo_path, load_or_collect
    from benchmark.runtime import resolve_workers

    settings = load_settings(suite, protocol, "mlp", overrides)
    root, s = data or out / "data", settings.suite
    found: list[dict[str, Any]] = []
    for task in s.select(split(tasks)):
        workers = resolve_workers(settings.runtime)
        demos = load_or_collect(root, s.name, s.env, task, settings.protocol, workers, settings.env_python)
        path = demo_path(root, s.name, s.env, task, settings.protocol, settings.env_python)
        found.append({
            "task": task, "path": str(path), "demos": len(demos.seeds), "attempts": demos.attempts,
            "sha256": demos.content_hash, "bytes": path.stat().st_size,
        })  # fmt: skip
    if as_json:
        print_json(found)
        return
    for row in found:
        typer.echo(
            f"{row['task']:<20} {row['demos']} demonstrations in {row['attempts']} attempts, "
            f"{row['bytes'] / 1e6:.1f} MB, sha256 {row['sha256'][:12]}, {row['path']}"
        )


@app.command(name="list")
@explained
def list_(
    what: Annotated[str, typer.Argument(help="suites | methods | tasks | heads | protocols | data | all")] = "all",
    suite: Annotated[str | None, typer.Option("--suite", help="with tasks: of this suite only")] = None,
    as_json: Json = False,
) -> None:
    """Name what there is. Imports neither torch nor a simulator."""
    from benchmark.catalog import listing, render_listing

    register_baselines()
    found = listing(what, suite)
    print_json(found) if as_json else typer.echo(render_listing(found))


@app.command()
@explained
def show(
    name: Annotated[
        str,
        typer.Argument(help="a method, suite, task, protocol, head, data, pretrain/METHOD, or path/to/file.py:Class"),
    ],
    as_json: Json = False,
) -> None:
    """The whole card, suite or protocol."""
    from benchmark.catalog import describe, render_description

    register_baselines()
    found = describe(name)
    print_json(found) if as_json else typer.echo(render_description(found))


@app.command()
@explained
def doctor(as_json: Json = False, out: Out = Path("runs")) -> None:
    """Check this machine. Each failure prints the command that mends it."""
    from benchmark.doctor import examine, render_findings

    findings = examine(out)
    print_json([finding.as_dict() for finding in findings]) if as_json else typer.echo(render_findings(findings))
    if any(finding.verdict == "fail" for finding in findings):
        raise typer.Exit(1)


@app.command()
@explained
def perf(
    what: Annotated[str, typer.Argument(help="rollouts | encoders | pretrain")] = "rollouts",
    method: Annotated[str, typer.Option("--method", help="with pretrain: clar | clar-small")] = "clar",
    batch: Annotated[int, typer.Option("--batch", help="with pretrain: samples of a step")] = 128,
    task: Annotated[str, typer.Option("--task", help="a MetaWorld task")] = "hammer",
    compare: Annotated[str | None, typer.Option("--compare", help="naive: also the loop the field uses")] = None,
    seconds: Annotated[float, typer.Option("--seconds", help="of each measurement")] = 8.0,
    encoders: Annotated[bool, typer.Option("--encoders", help="encoders, grouping, views and feature cache")] = False,
    as_json: Json = False,
) -> None:
    """Measure speed against floors taken in the same run on this machine."""
    from benchmark.perf.report import measure, measure_encoders, measure_pretraining, render_report
    from benchmark.protocol import ConfigError

    if compare not in (None, "naive"):
        raise ConfigError(f"--compare {compare}: there is only naive")
    if what not in ("rollouts", "encoders", "pretrain"):
        raise ConfigError(f"bench perf {what}: there are rollouts, encoders and pretrain")
    register_baselines()
    if what == "pretrain":
        report = measure_pretraining(method, batch, seconds)
    elif encoders or what == "encoders":
        report = measure_encoders()
    else:
        report = measure(task, seconds, naive=compare == "naive")
    print_json(report) if as_json else typer.echo(render_report(report))


VERBS = ("sweep", "encoders", "features", "pretrain", "ablation", "tables", "compare", "plan", "audit", "export",
         "report", "migrate")  # fmt: skip
for _verbs in VERBS:
    importlib.import_module(f"benchmark.cli_{_verbs}")  # each adds its own


def main() -> None:
    try:
        app()
    except Exception:
        traceback.print_exc()
        sys.exit(70)


if __name__ == "__main__":
    main()
