"""`bench report`: the records as pages."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from benchmark.cli import option_types as kinds
from benchmark.cli.errors import explained
from benchmark.cli.options import Json, Out, Records, WithReference, app, echo, print_json
from benchmark.settings.catalog import register_baselines


@app.command()
@explained
def report(
    to: Annotated[Path, typer.Option("--to", parser=kinds.folder, metavar="DIR", help="folder of the report")] = Path(
        "report"
    ),
    films: Annotated[
        list[str] | None,
        typer.Option(
            "--videos", "--films", help="replay the recorded actions of these cells as videos (part of a path)"
        ),
    ] = None,
    simulator: Annotated[
        list[str] | None, typer.Option("--simulator", help="with --videos: path/to/file.py:Class that may be run")
    ] = None,
    python: Annotated[
        str | None, typer.Option("--python", help="with --videos: the simulator's interpreter, if another")
    ] = None,
    open_: Annotated[bool, typer.Option("--open", help="show it in a browser")] = False,
    records: Records = None,
    with_reference: WithReference = False,
    out: Out = Path("runs"),
    as_json: Json = False,
) -> None:
    """Write all results as pages that open without a network. Tables, curves, intervals, and a page for each cell."""
    import time

    from benchmark.records.gather import gather
    from benchmark.report.page.build import build, claim
    from benchmark.report.page.facts import slug
    from benchmark.report.page.film import film, filmed, films_wanted
    from benchmark.system.errors import ConfigError

    register_baselines()
    start = time.perf_counter()
    placed, notes = gather(records, out, with_reference)
    if not placed and not notes:
        where = ", ".join(map(str, records or [out / "records"]))
        raise ConfigError(
            f"no records under {where}; `bench run` makes them, --with-reference shows this project's own"
        )
    chosen = films_wanted(placed, films or [])
    try:
        claim(to)
    except FileExistsError as error:
        raise ConfigError(str(error)) from error
    notes += film(chosen, to / "media", simulator or (), python)
    media = {slug(r): found for path, r in placed if (found := filmed(r, path, to / "media")) is not None}
    page = build(placed, _tables(placed), notes, to, media)
    seconds = time.perf_counter() - start
    if as_json:
        print_json({"page": str(page), "cells": len(placed), "films": len(media), "left_out": notes})
    else:
        echo(f"{page}: {len(placed)} cells, {len(media)} with videos, in {seconds:.0f} s")
        for note in notes:
            echo(f"  {note}")
    if open_:
        import webbrowser

        webbrowser.open(page.resolve().as_uri())


def _tables(placed: list[Any]) -> list[Any]:
    """The papers' tables of which something was measured, under each protocol."""
    from benchmark.report.tables.papers import SUITES, paper_table
    from benchmark.settings.ablation_variants import SUITE as CLAR_ABLATION
    from benchmark.settings.clamp_ablation import SUITE as CLAMP_ABLATION
    from benchmark.settings.load import load_settings

    tables = []
    for (paper, number), suite in SUITES.items():
        of_suite = [record for _, record in placed if record.suite == suite]
        for protocol in sorted({record.protocol for record in of_suite}):
            own = [record for record in of_suite if record.protocol == protocol]
            ablation = suite in (CLAR_ABLATION, CLAMP_ABLATION)
            methods: list[str | None] = [*sorted({r.card["name"] for r in own})] if ablation else [None]
            for method in methods:
                settings = load_settings(suite, "clar", "mlp").suite
                tables.append(paper_table(paper, number, placed, settings, protocol, method))
    return tables
