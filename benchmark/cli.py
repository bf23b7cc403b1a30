"""`bench`: every verb parses, calls one function and prints. What takes long to import is imported inside."""

from __future__ import annotations

import json
import os
import shlex
import sys
import traceback
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmark.cli_errors import explained
from benchmark.progress import say

app = typer.Typer(
    help="With everything else held equal, how good is this visual representation for robot manipulation?",
    no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None, add_completion=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)  # fmt: skip

Suite = Annotated[str, typer.Option("--suite", help="`bench list suites`")]
Tasks = Annotated[str | None, typer.Option("--tasks", help="comma-separated; default: all of the suite")]
Protocol = Annotated[str, typer.Option("--protocol", help="clar | matched | quick")]
Out = Annotated[Path, typer.Option("--out", help="where records, plots and checkpoints go")]
Data = Annotated[Path | None, typer.Option("--data", help="demonstrations and caches; default: OUT/data")]
Weights = Annotated[str | None, typer.Option("--weights", help="random, or a file; default: the published ones")]
Json = Annotated[bool, typer.Option("--json", help="print JSON instead of text")]
Overrides = Annotated[list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Hydra overrides")]


def print_json(data: Any) -> None:
    typer.echo(json.dumps(data, indent=1, sort_keys=True, default=str))


def _register_baselines() -> None:
    from baselines import BASELINES
    from methods import registry

    registry.add(BASELINES)


@app.command()
@explained
def run(
    suite: Suite = "metaworld-15",
    method: Annotated[str, typer.Option("--method", help="a name, path/to/file.py:Class, or several by comma")] = "",
    tasks: Tasks = None,
    head: Annotated[str, typer.Option("--head", help="mlp | bnmlp")] = "mlp",
    seeds: Annotated[str, typer.Option("--seeds", help="0 | 0,2 | 0:3")] = "0",
    weights: Weights = None,
    protocol: Protocol = "clar",
    device: Annotated[str, typer.Option("--device", help="auto | cpu | cuda")] = "auto",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="print what would be done, and do nothing")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="compute again what is there")] = False,
    out: Out = Path("runs"),
    data: Data = None,
    as_json: Json = False,
    overrides: Overrides = None,
) -> None:
    """Train and score methods on a suite. Issued again, it does only what is missing."""
    from benchmark.cell import Paths, make_cells, preflight
    from benchmark.config import load_settings
    from benchmark.protocol import ConfigError

    if not method:
        raise ConfigError("--method is missing; `bench list methods` names them, path/to/file.py:Class is yours")
    overrides = [*(overrides or []), f"runtime.device={device}"]
    settings = load_settings(suite, protocol, head, overrides)
    paths = Paths(out, data or out / "data")
    _register_baselines()
    cells = make_cells(settings, _split(tasks), _split(method) or [], _seeds(seeds), weights)
    preflight(cells)
    if dry_run:
        from benchmark.plan import describe, plan

        planned = plan(cells, paths)
        print_json(planned) if as_json else typer.echo(describe(planned))
        return
    from benchmark.runner import run_cells

    outcome = run_cells(cells, paths, shlex.join(["bench", *sys.argv[1:]]), overwrite)
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
    for task in s.select(_split(tasks)):
        workers = resolve_workers(settings.runtime)
        demos = load_or_collect(root, s.name, s.env, task, settings.protocol, workers, settings.env_python)
        path = demo_path(root, s.name, s.env, task, settings.protocol)
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


@app.command()
@explained
def table(
    number: Annotated[int, typer.Argument(help="1: CLAR Table I")] = 1,
    form: Annotated[str, typer.Option("--format", help="terminal | markdown | latex | csv")] = "terminal",
    protocol: Protocol = "clar",
    suite: Suite = "metaworld-15",
    records: Annotated[
        list[Path] | None, typer.Option("--records", help="folders of records; default: OUT/records, results/measured")
    ] = None,
    out: Out = Path("runs"),
    cells: Annotated[bool, typer.Option("--cells", help="one row a cell instead of the paper's groups")] = False,
    as_json: Json = False,
) -> None:
    """Render a paper's table beside what was measured, from whatever records are there."""
    from benchmark.config import load_settings
    from benchmark.protocol import ConfigError
    from benchmark.report.table import FORMATS, render
    from benchmark.report.tables import cells_table, clar_table_1

    if number != 1:
        raise ConfigError(f"table {number} cannot be rendered yet; 1 can (CLAR Table I)")
    if form not in FORMATS:
        raise ConfigError(f"--format {form} is none of {', '.join(FORMATS)}")
    settings = load_settings(suite, protocol, "mlp")
    found = _read_records(records or [out / "records", _measured()])
    if cells:
        chosen = [r for r in found if r.suite == suite and r.protocol == protocol]
        result = cells_table(chosen, f"Cells of {suite}, protocol {protocol}")
    else:
        result, _ = clar_table_1(found, settings.suite, protocol)
    if as_json:
        import dataclasses

        print_json({**dataclasses.asdict(result), "rules": sorted(result.rules)})
    else:
        width = int(os.environ.get("COLUMNS", "0")) or (None if not sys.stdout.isatty() else _terminal_width())
        typer.echo(render(result, form, width), nl=False)


@app.command(name="list")
@explained
def list_(
    what: Annotated[str, typer.Argument(help="suites | methods | tasks | heads | protocols | all")] = "all",
    suite: Annotated[str | None, typer.Option("--suite", help="with tasks: of this suite only")] = None,
    as_json: Json = False,
) -> None:
    """Name what there is. Imports neither torch nor a simulator."""
    from benchmark.catalog import listing, render_listing

    _register_baselines()
    found = listing(what, suite)
    print_json(found) if as_json else typer.echo(render_listing(found))


@app.command()
@explained
def show(
    name: Annotated[str, typer.Argument(help="a method, suite, task, protocol, head, or path/to/file.py:Class")],
    as_json: Json = False,
) -> None:
    """The whole card, suite or protocol."""
    from benchmark.catalog import describe, render_description

    _register_baselines()
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
    task: Annotated[str, typer.Option("--task", help="a MetaWorld task")] = "hammer",
    compare: Annotated[str | None, typer.Option("--compare", help="naive: also the loop the field uses")] = None,
    seconds: Annotated[float, typer.Option("--seconds", help="of each measurement")] = 8.0,
    as_json: Json = False,
) -> None:
    """Measure speed against floors taken in the same run on this machine."""
    from benchmark.perf import measure, render_report
    from benchmark.protocol import ConfigError

    if compare not in (None, "naive"):
        raise ConfigError(f"--compare {compare}: there is only naive")
    _register_baselines()
    report = measure(task, seconds, naive=compare == "naive")
    print_json(report) if as_json else typer.echo(render_report(report))


def _read_records(roots: list[Path]) -> list[Any]:
    from benchmark.report.record import BadRecord, read_all

    found = []
    for _path, record in read_all([root for root in roots if root.is_dir()]):
        if isinstance(record, BadRecord):
            say(f"skipped: {record}")
        else:
            found.append(record)
    return found


def _measured() -> Path:
    return Path(__file__).resolve().parents[1] / "results" / "measured"


def _terminal_width() -> int:
    import shutil

    return shutil.get_terminal_size().columns


def _split(text: str | None) -> list[str] | None:
    return [part.strip() for part in text.split(",") if part.strip()] if text else None


def _seeds(text: str) -> list[int]:
    """`0`, `0,2,5` or `0:3` (0, 1, 2)."""
    from benchmark.protocol import ConfigError

    try:
        if ":" in text:
            first, _, end = text.partition(":")
            found = list(range(int(first or 0), int(end)))
        else:
            found = [int(part) for part in text.split(",") if part.strip()]
    except ValueError:
        raise ConfigError(f"--seeds {text}: give 0, 0,2,5 or 0:3") from None
    if not found or min(found) < 0 or len(set(found)) != len(found):
        raise ConfigError(f"--seeds {text}: give different numbers from 0 up, such as 0:3")
    return found


def main() -> None:
    try:
        app()
    except Exception:
        traceback.print_exc()
        sys.exit(70)


if __name__ == "__main__":
    main()
