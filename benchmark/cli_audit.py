"""`bench audit`: doubt a number, replay it."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Annotated

import typer

from benchmark.cli_errors import explained
from benchmark.cli_options import Json, Out, Records, WithReference, app, print_json
from benchmark.progress import bar


@app.command()
@explained
def audit(
    cells: Annotated[list[str] | None, typer.Argument(metavar="[CELL]...", help="parts of a record's path")] = None,
    records: Records = None,
    with_reference: WithReference = False,
    episodes: Annotated[int | None, typer.Option("--episodes", help="at most so many of each; default: all")] = None,
    workers: Annotated[int, typer.Option("--workers", help="simulators at once")] = os.cpu_count() or 1,
    any_version: Annotated[bool, typer.Option("--any-version", help="replay in another version of it")] = False,
    python: Annotated[str | None, typer.Option("--python", help="the simulator's interpreter, if another")] = None,
    out: Out = Path("runs"),
    as_json: Json = False,
) -> None:
    """Play the kept retest actions again and derive every success anew; exit code 1 if a record does not hold."""
    from benchmark.errors import ConfigError
    from benchmark.report.audit import audit as check
    from benchmark.report.gather import all_files
    from benchmark.report.record import BadRecord

    if episodes is not None and episodes < 0:
        raise ConfigError(f"--episodes {episodes} must not be negative")
    found = all_files(records, out, with_reference)
    found = [(path, record) for path, record in found if not cells or any(c in str(path) for c in cells)]
    if not found:
        where = ", ".join(map(str, records or [out / "records"]))
        raise ConfigError(f"no record{' of ' + ', '.join(cells) if cells else ''} under {where}")
    verdicts, damaged = [], []
    with bar("audit", len(found)) as advance:
        for path, record in found:
            if isinstance(record, BadRecord):
                damaged.append(str(record))
            else:
                verdicts.append(check(record, path, workers, episodes, any_version, python))
            advance()
    if as_json:
        rows = [{**dataclasses.asdict(verdict), "holds": verdict.holds} for verdict in verdicts]
        print_json({"records": rows, "damaged": damaged})
    else:
        for verdict in verdicts:
            word = "holds" if verdict.holds else "DOES NOT HOLD"
            typer.echo(f"{verdict.cell}: {word}; {verdict.replayed} of {verdict.episodes} episodes replayed")
            for text in verdict.wrong:
                typer.echo(f"  wrong: {text}")
            for text in verdict.not_replayed:
                typer.echo(f"  not replayed: {text}")
        for text in damaged:
            typer.echo(f"damaged: {text}")
    if damaged or not all(verdict.holds for verdict in verdicts):
        raise typer.Exit(1)
