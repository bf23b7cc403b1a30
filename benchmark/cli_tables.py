"""`bench table` and `bench ledger`: the papers' tables beside what was measured."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from benchmark.cli_errors import explained
from benchmark.cli_options import (
    Json,
    Out,
    Protocol,
    Records,
    Suite,
    WithReference,
    app,
    print_json,
    read_placed,
    read_records,
    register_baselines,
    width,
)


@app.command()
@explained
def table(
    number: Annotated[int, typer.Argument(help="of the paper; CLAR: 1, 3 multi-task, 4 perspective, 5 ablation")] = 1,
    paper: Annotated[str, typer.Option("--paper", help="clar | clamp")] = "clar",
    form: Annotated[str, typer.Option("--format", help="terminal | markdown | latex | csv | html")] = "terminal",
    protocol: Protocol = "clar",
    suite: Annotated[str | None, typer.Option("--suite", help="default: the table's")] = None,
    method: Annotated[str, typer.Option("--method", help="table 5: clar | clar-small")] = "clar",
    records: Records = None,
    with_reference: WithReference = False,
    out: Out = Path("runs"),
    cells: Annotated[bool, typer.Option("--cells", help="one row a cell instead of the paper's groups")] = False,
    as_json: Json = False,
) -> None:
    """Render a paper's table beside what was measured, from whatever records are there."""
    from benchmark.config import choices, load_settings
    from benchmark.labels import check_base
    from benchmark.protocol import ConfigError
    from benchmark.report.conditions import other_labels
    from benchmark.report.papers import SUITES, paper_table
    from benchmark.report.printed_table import check_number
    from benchmark.report.table import FORMATS, as_data, render
    from benchmark.report.tables import cells_table

    check_number(paper, number)
    if form not in FORMATS:
        raise ConfigError(f"--format {form} is none of {', '.join(FORMATS)}")
    own = SUITES.get((paper, number))
    placed, chosen = [], None
    if own is not None:
        base = check_base("protocol", protocol, choices("protocol"))
        chosen = load_settings(suite or own, base, "mlp").suite
        wanted = load_settings(own, base, "mlp").suite
        if not cells and chosen.tasks != wanted.tasks:
            raise ConfigError(
                f"table {number} has the tasks of {own}, which {chosen.name} has not; --cells lists any suite"
            )
        placed = read_placed(records, out, with_reference)
    if cells and chosen is not None:
        found = [r for _, r in placed if r.suite == chosen.name and r.protocol == protocol]
        result = cells_table(found, f"Cells of {chosen.name}, protocol {protocol}")
        others = other_labels([r for _, r in placed], chosen.name, protocol)
        result = dataclasses.replace(result, notes=(*result.notes, *others))
    else:
        result = paper_table(paper, number, placed, chosen, protocol, method)
    print_json(as_data(result)) if as_json else typer.echo(render(result, form, width()), nl=False)


@app.command(name="ledger")
@explained
def ledger_(
    form: Annotated[str, typer.Option("--format", help="terminal | markdown | latex | csv | html")] = "markdown",
    protocol: Protocol = "clar",
    suite: Suite = "metaworld-15",
    records: Annotated[
        list[Path] | None, typer.Option("--records", help="folders of records; default: results/measured")
    ] = None,
) -> None:
    """For every row of CLAR Table I: printed, reproduced, or not yet and why."""
    from benchmark.catalog import cards
    from benchmark.config import load_settings
    from benchmark.labels import base_of
    from benchmark.report.gather import MEASURED
    from benchmark.report.ledger import ledger
    from benchmark.report.table import render

    register_baselines()
    found = read_records(records or [MEASURED], Path())
    result = ledger(found, cards(), load_settings(suite, base_of(protocol), "mlp").suite, protocol)
    typer.echo(render(result, form, width()), nl=False)
