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
    """Rewrite records of schema 1. Every verb reads them as they are, too; no outcome of an episode is touched."""
    import json

    from benchmark.report.gather import all_files
    from benchmark.report.record import BadRecord, write

    register_baselines()
    found: list[dict[str, Any]] = []
    for path, record in all_files(folders, Path()):
        if isinstance(record, BadRecord):
            found.append({"file": str(path), "written": False, "unknown": [], "problem": str(record)})
        elif json.loads(path.read_text())["schema"] != record.schema:
            if not dry_run:
                write(record, path)
            unknown = record.migrated["unknown"]
            found.append({"file": str(path), "written": not dry_run, "unknown": unknown, "problem": None})
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
