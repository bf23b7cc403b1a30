"""`bench migrate`: records of an earlier version, written as this one writes them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from benchmark.cli.errors import explained
from benchmark.cli.option_types import folder
from benchmark.cli.options import Json, app, echo, print_json
from benchmark.settings.catalog import register_baselines

if TYPE_CHECKING:
    from benchmark.records.record import Record


@app.command()
@explained
def migrate(
    folders: Annotated[
        list[Path], typer.Argument(parser=folder, metavar="FOLDER...", help="of records, such as runs/records")
    ],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="print what would be written, and write nothing")] = False,
    as_json: Json = False,
) -> None:
    """Rewrite old records in the present schema.

    Every verb reads them as they are, too; no outcome of an episode is touched.

    A record whose label says more now (`+norm=workspace`) moves to the folder of that label, with what is beside it.
    """
    import json

    from benchmark.records.gather import all_files
    from benchmark.records.read import BadRecord
    from benchmark.records.write import write

    register_baselines()
    found: list[dict[str, Any]] = []
    for path, record in all_files(folders, Path()):
        if isinstance(record, BadRecord):
            found.append({"file": str(path), "written": False, "unknown": [], "problem": record.reason})
            continue
        was = json.loads(path.read_text())
        if was["schema"] == record.schema:
            continue
        target, problem = _place(path, was, record), None
        if target != path and target.exists():
            problem = f"{target} is there already, which is what it is called now; remove one of the two"
        elif not dry_run:
            _move_what_is_beside(path, target)
            write(record, target)
            _remove_moved(path, target)
        written, shown = not dry_run and problem is None, str(target if problem is None else path)
        found.append({"file": shown, "written": written, "unknown": record.migrated["unknown"], "problem": problem})
    if as_json:
        print_json(found)
    else:
        for row in found:
            word = row["problem"] or ("written" if row["written"] else "would be written")
            echo(f"{row['file']}: {word}" + (f"; cannot say {', '.join(row['unknown'])}" if row["unknown"] else ""))
        echo(f"{sum(row['written'] for row in found)} records written")
    if any(row["problem"] for row in found):
        raise typer.Exit(1)


def _place(path: Path, was: dict[str, Any], record: Record) -> Path:
    """Where a record belongs now. It stands where its names of then put it, else it would not have been read."""
    from benchmark.records.paths import record_path

    names = "protocol", "suite", "task", "method", "head", "seed"
    old = record_path(Path(), *(was[name] for name in names))
    new = record_path(Path(), *(getattr(record, name) for name in names))
    return path if old == new else path.absolute().parents[len(old.parts) - 1] / new


def _move_what_is_beside(path: Path, target: Path) -> None:
    """`mlp-s0.*`, before the record itself: after a kill the same command goes on."""
    if path == target:
        return
    _move_work(path, target)
    target.parent.mkdir(parents=True, exist_ok=True)
    for file in path.parent.glob(f"{path.stem}.*"):
        if file != path:
            file.rename(target.parent / f"{target.stem}{file.name.removeprefix(path.stem)}")


def _move_work(path: Path, target: Path) -> None:
    """The checkpoints of OUT/records/... lie under OUT/work/..., and are found by the record's name."""
    for parent in path.absolute().parents:
        if parent.name == "records" and target.is_relative_to(parent):
            old, new = (
                parent.parent / "work" / file.absolute().relative_to(parent).with_suffix("") for file in (path, target)
            )
            if old.is_dir() and not new.exists():
                new.parent.mkdir(parents=True, exist_ok=True)
                old.rename(new)


def _remove_moved(path: Path, target: Path) -> None:
    if path == target:
        return
    path.unlink()
    if not any(path.parent.iterdir()):
        path.parent.rmdir()
