"""`bench plan` and `bench spread`: what it takes to tell two methods apart, and how much retraining varies."""

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
    read_records,
    width,
)


@app.command(name="plan")
@explained
def plan_(
    suite: Suite = "metaworld-15",
    detect: Annotated[float, typer.Option("--detect", help="difference of means, points")] = 5.0,
    power: Annotated[float, typer.Option("--power")] = 0.8,
    alpha: Annotated[float, typer.Option("--alpha", help="two-sided")] = 0.05,
    spread: Annotated[
        float | None,
        typer.Option("--spread", help="of a task's rate over training seeds, points; default: as measured, else 6"),
    ] = None,
    discordant: Annotated[
        float, typer.Option("--discordant", help="pairs in which one alone succeeds, percent")
    ] = 30.0,
    interaction: Annotated[
        float, typer.Option("--interaction", help="deviation over episodes of the methods' difference, points")
    ] = 15.0,
    protocol: Protocol = "clar",
    records: Records = None,
    with_reference: WithReference = False,
    out: Out = Path("runs"),
    as_json: Json = False,
) -> None:
    """Training seeds, rollouts and hours with which `bench compare` would find a difference of --detect points."""
    from benchmark.config import choices, load_settings
    from benchmark.errors import ConfigError
    from benchmark.labels import check_base
    from benchmark.report.power import plan, plan_table, scope_of_suite
    from benchmark.report.spreads import Assumed, assumed, spreads
    from benchmark.report.table import render

    for name, value, low, high in (
        ("detect", detect, 0, 100), ("power", power, 0, 1), ("alpha", alpha, 0, 1), ("discordant", discordant, 0, 100),
    ):  # fmt: skip
        if not low < value < high:
            raise ConfigError(f"--{name} {value:g} must lie between {low} and {high}")
    for name, least in (("spread", spread or 0.0), ("interaction", interaction)):
        if least < 0:
            raise ConfigError(f"--{name} {least:g} must not be negative")
    settings = load_settings(suite, check_base("protocol", protocol, choices("protocol")), "mlp")
    found = [r for r in read_records(records, out, with_reference) if r.protocol == protocol]
    if spread is None:
        known, _ = spreads([r for r in found if r.suite == suite])
        taken = assumed(known, scope_of_suite(settings), f"{suite}, {protocol}")
    else:
        taken = Assumed(spread / 100, "as asked", None)
    try:
        result = plan(settings, found, detect / 100, power, alpha, taken, discordant / 100, interaction / 100)
    except ValueError as error:
        raise ConfigError(f"--discordant {discordant:g}: {error}") from error
    print_json(result) if as_json else typer.echo(render(plan_table(result), "terminal", width()), nl=False)


@app.command(name="spread")
@explained
def spread_(
    methods: Annotated[list[str] | None, typer.Argument(metavar="[METHOD]...", help="as tables name them")] = None,
    suite: Suite = "metaworld-15",
    protocol: Protocol = "clar",
    head: Annotated[str | None, typer.Option("--head", help="mlp | bnmlp | diffusion; default: each")] = None,
    form: Annotated[str, typer.Option("--format", help="terminal | markdown | latex | csv | html")] = "terminal",
    records: Records = None,
    with_reference: WithReference = False,
    out: Out = Path("runs"),
    as_json: Json = False,
) -> None:
    """Each training seed's retest, their range, and the measured spread of retraining, method by method."""
    from benchmark.errors import ConfigError
    from benchmark.report.spreads import spread_table, spreads
    from benchmark.report.table import FORMATS, render

    if form not in FORMATS:
        raise ConfigError(f"--format {form} is none of {', '.join(FORMATS)}")
    found = [
        r for r in read_records(records, out, with_reference)
        if (r.suite, r.protocol) == (suite, protocol) and head in (None, r.head)
    ]  # fmt: skip
    known = sorted({r.method for r in found})
    unknown = [name for name in methods or () if name not in known]
    if unknown or not known:
        what = f"of {', '.join(unknown)} " if unknown else ""
        raise ConfigError(f"no record {what}on {suite} under {protocol}; there are {', '.join(known) or 'none'}")
    result, notes = spreads([r for r in found if not methods or r.method in methods])
    if as_json:
        print_json({"methods": [dataclasses.asdict(one) for one in result], "notes": notes})
        return
    title = f"Spread over training seeds on {suite}, protocol {protocol}"
    typer.echo(render(spread_table(result, notes, title), form, width()), nl=False)
