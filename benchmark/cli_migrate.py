"""`bench migrate`: records of an earlier version, written as this one writes them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from benchmark.cli_errors import explained
from benchmark.cli_options import Json, app, print_json, register_baselines


@app.command()
@explained
def migrate(
    folders: Annotated[list[Path], typer.Argument(metavar="FOLDER...", help="of records, such as runs/records")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="say what would be written, and write nothing")] = False,
    as_json: Json = False,
) -> None:
    """Rewrite records of schema 1. Every verb reads them as they are, too; no outcome of an episode is touched.

    A record whose label says more now (`+norm=workspace`) moves to the folder of that label, with what is beside it.
    """
    import json

    from benchmark.report.gather import all_files
    from benchmark.report.record import BadRecord, record_path, write

    register_baselines()
    found: list[dict[str, Any]] = []
    for path, record in all_files(folders, Path()):
        if isinstance(record, BadRecord):
            found.append({"file": str(path), "written": False, "unknown": [], "problem": str(record)})
        elif json.loads(path.read_text())["schema"] != record.schema:
            root = path.parents[4]  # PROTOCOL/SUITE/TASK/METHOD/HEAD-sSEED.json
            names = record.protocol, record.suite, record.task, record.method, record.head, record.seed
            target = record_path(root, *names) if len(path.relative_to(root).parts) == 5 else path
            if not dry_run:
                write(record, path)
                _move(path, target)
            unknown = record.migrated["unknown"]
            found.append({"file": str(target), "written": not dry_run, "unknown": unknown, "problem": None})
    if as_json:
        print_json(found)
    else:
        for row in found:
            word = row["problem"] or ("written" if row["written"] else "would be written")
            typer.echo(
                f"{row['file']}: {word}" + (f"; cannot say {', '.join(row['unknown'])}" if row["unknown"] else "")
            )
        typer.echo(f"{sum(row['written'] for row in found)} records written")
    if any(row["problem"] for row in found):
        raise typer.Exit(1)


def _move(path: Path, target: Path) -> None:
    """A record and all that lies beside it (`mlp-s0.*`) to another folder; the record last, so that none is lost."""
    if path == target:
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = [file for file in path.parent.glob(f"{path.stem}.*") if file != path]
    for file in [*beside, path]:
        file.rename(target.parent / f"{target.stem}{file.name.removeprefix(path.stem)}")
    if not any(path.parent.iterdir()):
        path.parent.rmdir()
