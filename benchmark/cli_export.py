"""`bench export`: records for others' tools."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from benchmark.cli_errors import explained
from benchmark.cli_options import Out, Records, WithReference, app, read_records


@app.command()
@explained
def export(
    form: Annotated[str, typer.Option("--format", help="csv | parquet | latex | leaderboard-json")] = "csv",
    to: Annotated[Path | None, typer.Option("--to", help="file; default: records.FORMAT")] = None,
    suite: Annotated[str | None, typer.Option("--suite", help="of this suite only")] = None,
    protocol: Annotated[str | None, typer.Option("--protocol", help="under this protocol only")] = None,
    records: Records = None,
    with_reference: WithReference = False,
    out: Out = Path("runs"),
) -> None:
    """One row a cell, nothing averaged."""
    from benchmark.errors import ConfigError
    from benchmark.report.export import FORMATS
    from benchmark.report.export import export as write

    if form not in FORMATS:
        raise ConfigError(f"--format {form} is none of {', '.join(FORMATS)}")
    found = read_records(records, out, with_reference)
    found = [r for r in found if suite in (None, r.suite) and protocol in (None, r.protocol)]
    if not found:
        raise ConfigError("no records there; `bench run` makes them, --with-reference takes this project's own")
    suffix = {"latex": "tex", "leaderboard-json": "json"}.get(form, form)
    typer.echo(f"{write(found, form, to or Path(f'records.{suffix}'))}: {len(found)} cells")
