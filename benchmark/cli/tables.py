"""`bench table` and `bench ledger`: the papers' tables beside what was measured."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from benchmark.cli.errors import explained
from benchmark.cli.option_types import table_format, whole
from benchmark.cli.options import (
    Format,
    Json,
    Out,
    Records,
    WithReference,
    app,
    echo,
    print_json,
    read_placed,
    read_records,
    say,
    width,
)
from benchmark.records.record import Record
from benchmark.settings.catalog import register_baselines
from benchmark.system.streams import is_terminal


@app.command()
@explained
def table(
    number: Annotated[
        int,
        typer.Argument(
            parser=whole(1, 99),
            metavar="[NUMBER]",
            help="of the paper; CLAR: 1, 2 RLBench, 3 multi-task, 4 perspective, 5 ablation; CLAMP: 1, 3, 4 ablations",
        ),
    ] = 1,
    paper: Annotated[str, typer.Option("--paper", help="clar | clamp")] = "clar",
    form: Format = "terminal",
    protocol: Annotated[str | None, typer.Option("--protocol", help="default: the paper's for the table")] = None,
    suite: Annotated[str | None, typer.Option("--suite", help="default: the table's")] = None,
    method: Annotated[
        str | None,
        typer.Option("--method", help="of ablations: clar | clar-small, of CLAMP's tables 3 and 4 clamp | clamp-small"),
    ] = None,
    records: Records = None,
    with_reference: WithReference = False,
    out: Out = Path("runs"),
    cells: Annotated[bool, typer.Option("--cells", help="one row a cell instead of the paper's groups")] = False,
    as_json: Json = False,
) -> None:
    """Render a paper's table beside what was measured."""
    from benchmark.report.comparisons.comparable import other_labels
    from benchmark.report.tables.clar_1 import cells_table
    from benchmark.report.tables.forms import render
    from benchmark.report.tables.marks import as_data
    from benchmark.report.tables.only_printed import check_number
    from benchmark.report.tables.papers import PROTOCOLS, SUITES, paper_table
    from benchmark.report.tables.protocol_note import PAPERS, named
    from benchmark.settings.labels import check_base
    from benchmark.settings.load import choices, load_settings
    from benchmark.settings.user_files import in_own_folder
    from benchmark.system.errors import ConfigError

    check_number(paper, number)
    own = SUITES.get((paper, number))
    papers = PROTOCOLS.get((paper, number), PAPERS)
    protocol = protocol or papers
    placed, chosen = [], None
    if own is not None:
        base = check_base("protocol", protocol, [*choices("protocol"), *in_own_folder("protocol")])
        chosen = load_settings(suite or own, base, "mlp").suite
        wanted = load_settings(own, base, "mlp").suite
        if not cells and chosen.tasks != wanted.tasks:
            raise ConfigError(
                f"table {number} has the tasks of {own}, which {chosen.name} has not; --cells lists any suite"
            )
        placed = read_placed(records, out, with_reference)
        say_elsewhere([record for _, record in placed], chosen.name, protocol)
    if cells and chosen is not None:
        found = [r for _, r in placed if r.suite == chosen.name and r.protocol == protocol]
        result = cells_table(found, f"Cells of {chosen.name}, protocol {protocol}")
        others = other_labels([r for _, r in placed], chosen.name, protocol)
        result = named(result, chosen.name, protocol, papers, found)
        result = dataclasses.replace(result, notes=(*result.departs, *result.notes, *others))
    else:
        result = paper_table(paper, number, placed, chosen, protocol, method)
    print_json(as_data(result)) if as_json else echo(render(result, form, width()), nl=False)


def say_elsewhere(records: Sequence[Record], suite: str, protocol: str) -> None:
    """Where none of the records is of this suite and protocol: which there are, and how to see them."""
    there = sorted({(record.suite, record.protocol) for record in records})
    if there and (suite, protocol) not in there:
        own = [label for name, label in there if name == suite]
        hint = f"--protocol {own[0]} shows those of {suite}" if own else f"none is of {suite}"
        say(f"the records here are of {', '.join(' under '.join(one) for one in there)}; {hint}")


@app.command(name="ledger")
@explained
def ledger_(
    form: Annotated[
        str | None,
        typer.Option(
            "--format",
            parser=table_format,
            metavar="NAME",
            help="terminal (default in one) | markdown (default elsewhere) | latex | csv | html",
        ),
    ] = None,
    paper: Annotated[str, typer.Option("--paper", help="clar | clamp")] = "clar",
    protocol: Annotated[str | None, typer.Option("--protocol", help="default: the paper's for the suite")] = None,
    suite: Annotated[
        str | None, typer.Option("--suite", help="default: metaworld-15, then rlbench-4; of clamp: aloha-6")
    ] = None,
    records: Annotated[
        list[Path] | None, typer.Option("--records", help="folders of records; default: results/measured")
    ] = None,
    methods: Annotated[
        bool, typer.Option("--methods", help="method by method: what it is, needs, and how much was measured")
    ] = False,
) -> None:
    """List which reported numbers are reproduced, and which not run."""
    from benchmark.records.gather import MEASURED
    from benchmark.report.tables.clar_2 import RLBENCH
    from benchmark.report.tables.forms import render
    from benchmark.report.tables.ledger import ledger
    from benchmark.report.tables.method_status import method_status
    from benchmark.report.tables.only_printed import check_number
    from benchmark.report.tables.papers import PROTOCOLS, SUITES
    from benchmark.report.tables.protocol_note import KEYFRAMES, PAPERS, named
    from benchmark.settings.catalog import cards, whole_policies
    from benchmark.settings.labels import base_of
    from benchmark.settings.load import load_settings

    check_number(paper, 1)
    register_baselines()
    form = form or ("terminal" if is_terminal() else "markdown")
    found = read_records(records or [MEASURED], Path())
    usual = [SUITES[paper, 1]] if methods or paper != "clar" else [SUITES[paper, 1], RLBENCH]
    for number, name in enumerate([suite] if suite else usual):
        papers = KEYFRAMES if name == RLBENCH else PROTOCOLS.get((paper, 1), PAPERS)
        label = protocol or papers
        chosen = load_settings(name, base_of(label), "mlp").suite
        if methods:
            result = method_status(found, [*cards(), *whole_policies()], chosen, label)
        else:
            own = cards() if paper == "clar" else [*cards(), *whole_policies()]
            result = named(ledger(found, own, chosen, label, paper), name, label, papers, found)
        if number and form in ("terminal", "markdown"):
            echo("")
        echo(render(result, form, width()), nl=False)
