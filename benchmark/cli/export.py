"""`bench export`: records, policies and demonstrations for others' tools."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from benchmark.cli import option_types as kinds
from benchmark.cli.errors import explained
from benchmark.cli.export_demos import export_demos
from benchmark.cli.options import Data, Out, Records, WithReference, app, echo, read_records, split


@app.command()
@explained
def export(
    what: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[policy CELL | demos [KEY=VALUE]...]",
            help="a trained policy, or demonstrations, as a folder; without it the records",
        ),
    ] = None,
    form: Annotated[
        str | None,
        typer.Option(
            "--format",
            parser=kinds.export_format,
            metavar="NAME",
            help="csv (default) | parquet | latex | leaderboard-json; of demos lerobot",
        ),
    ] = None,
    to: Annotated[
        Path | None,
        typer.Option("--to", parser=kinds.place, metavar="PLACE", help="default: records.FORMAT; else a folder"),
    ] = None,
    suite: Annotated[
        str | None, typer.Option("--suite", help="of this suite only; of demos: theirs (metaworld-15)")
    ] = None,
    tasks: Annotated[str | None, typer.Option("--tasks", help="of demos: by comma; default: all of the suite")] = None,
    protocol: Annotated[
        str | None, typer.Option("--protocol", help="under this protocol only; of demos: theirs (clar)")
    ] = None,
    frame_rate: Annotated[
        int | None,
        typer.Option(
            "--frame-rate", parser=kinds.whole(1, 1000), metavar="HZ", help="of demos: frames a second; default: all"
        ),
    ] = None,
    method: Annotated[
        str | None,
        typer.Option("--method", help="of a policy: FILE.py:Class that may be run, or several by comma"),
    ] = None,
    simulator: Annotated[
        str | None,
        typer.Option("--simulator", help="of a policy: path/to/file.py:Class that may be run"),
    ] = None,
    python: Annotated[
        str | None, typer.Option("--python", help="of a policy: the simulator's interpreter, if another")
    ] = None,
    weights: Annotated[
        str | None, typer.Option("--weights", help="of a policy: the file that the record was made with")
    ] = None,
    policy_weights: Annotated[
        str | None, typer.Option("--policy-weights", help="of a policy over an encoder: what it began with")
    ] = None,
    records: Records = None,
    with_reference: WithReference = False,
    out: Out = Path("runs"),
    data: Data = None,
) -> None:
    """Write records as flat rows, or a policy or demonstrations as a folder.

    `export policy CELL --to FOLDER` writes a policy that acts without this benchmark's data and simulator.
    `export demos --suite S --tasks T --to FOLDER` writes demonstrations as a LeRobotDataset v3 (Parquet and mp4).
    """
    from benchmark.report.export import export as write
    from benchmark.system.errors import ConfigError

    if what and what[0] == "demos":
        of_policy = {"--method": method, "--simulator": simulator, "--python": python}
        of_policy |= {"--weights": weights, "--policy-weights": policy_weights}
        if given := [name for name, value in of_policy.items() if value is not None]:
            raise ConfigError(f"{given[0]} is for `bench export policy`; a setting of demos is KEY=VALUE")
        if to is None:
            raise ConfigError("give `bench export demos --suite S --tasks T --to FOLDER`")
        export_demos(to, form, suite, tasks, protocol, frame_rate, out, data, what[1:])
        return
    if tasks is not None or frame_rate is not None:
        raise ConfigError(f"{'--tasks' if tasks else '--frame-rate'} is for `bench export demos --to FOLDER`")
    if form == "lerobot":
        raise ConfigError("--format lerobot is for demonstrations: `bench export demos --to FOLDER`")
    if what:
        if what[0] != "policy" or len(what) != 2 or to is None:
            raise ConfigError(
                "give `bench export policy CELL --to FOLDER`, `bench export demos --to FOLDER`, or no word at all to "
                "export the records"
            )
        if suite or protocol:
            raise ConfigError("--suite and --protocol choose records; a policy's CELL is a part of its record's path")
        begun = weights, policy_weights
        _export_policy(what[1], to, records, out, data, method, simulator, python, begun)
        return
    form = form or "csv"
    to = kinds.new_file(to) if to is not None else None
    found = read_records(records, out, with_reference)
    found = [r for r in found if suite in (None, r.suite) and protocol in (None, r.protocol)]
    if not found:
        raise ConfigError("no records there; `bench run` makes them, --with-reference takes this project's own")
    suffix = {"latex": "tex", "leaderboard-json": "json"}.get(form, form)
    echo(f"{write(found, form, to or Path(f'records.{suffix}'))}: {len(found)} cells")


def _export_policy(
    cell: str,
    to: Path,
    records: list[Path] | None,
    out: Path,
    data: Path | None,
    method: str | None,
    simulator: str | None,
    python: str | None,
    weights: tuple[str | None, str | None],
) -> None:
    from benchmark.experiment.cell_of_record import NotHere, Where, cell_of
    from benchmark.experiment.policy_bundle import BadBundle, export_policy
    from benchmark.records.gather import all_files
    from benchmark.records.paths import Paths, work_of
    from benchmark.records.read import BadRecord
    from benchmark.settings.catalog import register_baselines
    from benchmark.system.errors import ConfigError

    register_baselines()
    there = [(path, record) for path, record in all_files(records, out) if cell in str(path)]
    bad = [record for _, record in there if isinstance(record, BadRecord)]
    if bad:
        raise bad[0]
    found = [(path, record) for path, record in there if not isinstance(record, BadRecord)]
    if len(found) != 1:
        what = "no record" if not found else f"{len(found)} records, such as {found[0][0]} and {found[1][0]}"
        raise ConfigError(f"{cell!r} is a part of the path of {what}; it must be one record's")
    ((path, record),) = found
    work = work_of(path)
    if work is None:
        raise BadBundle(f"{path} lies in no OUT/records, so its checkpoints are not known; export it where it was made")
    if ".py:" in record.env and record.env != simulator:
        raise ConfigError(f"its simulator is a file, which is loaded only where you name it: --simulator {record.env}")
    files = tuple(split(method, "--method") or ()), (simulator,) if simulator else ()
    where = Where(data, python, *files, weights[0], policy_weights=weights[1])
    try:
        made = cell_of(record, where)
    except NotHere as error:
        raise BadBundle(f"{path}: {error}") from error
    root = work.parents[5]
    folder = export_policy(record, made, Paths(root, data or root / "data"), to)
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    echo(f"{folder}: {made.label}, epoch {record.selected_epoch}, {size / 1e6:.1f} MB")
