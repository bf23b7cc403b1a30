"""`bench plan` and `bench spread`: what it takes to tell two methods apart, and how much retraining varies."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from benchmark.cli.errors import explained
from benchmark.cli.option_types import BETWEEN_0_AND_1, real
from benchmark.cli.options import (
    Format,
    Json,
    Out,
    Protocol,
    Records,
    Suite,
    WithReference,
    app,
    echo,
    print_json,
    read_records,
    width,
)
from benchmark.settings.bounds import Range

PERCENT = Range(0, 100, above_low=True, below_high=True)


@app.command(name="plan")
@explained
def plan_(
    suite: Suite = "metaworld-15",
    detect: Annotated[
        float, typer.Option("--detect", parser=real(PERCENT), metavar="POINTS", help="difference of means")
    ] = 5.0,
    power: Annotated[float, typer.Option("--power", parser=real(BETWEEN_0_AND_1), metavar="P")] = 0.8,
    alpha: Annotated[
        float, typer.Option("--alpha", parser=real(BETWEEN_0_AND_1), metavar="P", help="two-sided")
    ] = 0.05,
    spread: Annotated[
        float | None,
        typer.Option(
            "--spread",
            parser=real(Range(0, 100)),
            metavar="POINTS",
            help="of a task's rate over training seeds; default: as measured, else 6",
        ),
    ] = None,
    discordant: Annotated[
        float,
        typer.Option("--discordant", parser=real(PERCENT), metavar="PERCENT", help="pairs in which one alone succeeds"),
    ] = 30.0,
    interaction: Annotated[
        float,
        typer.Option(
            "--interaction",
            parser=real(Range(0, 100)),
            metavar="POINTS",
            help="deviation over episodes of the methods' difference",
        ),
    ] = 15.0,
    protocol: Protocol = "clar",
    records: Records = None,
    with_reference: WithReference = False,
    out: Out = Path("runs"),
    as_json: Json = False,
) -> None:
    """Power analysis: seeds, episodes and hours for a comparison. To detect --detect points by `bench compare`."""
    from benchmark.report.comparisons.power import plan, plan_table, scope_of_suite
    from benchmark.report.comparisons.seed_spreads import Assumed, assumed, spreads
    from benchmark.report.tables.forms import render
    from benchmark.report.tables.marks import about
    from benchmark.report.tables.protocol_note import named
    from benchmark.settings.labels import check_base
    from benchmark.settings.load import choices, load_settings
    from benchmark.settings.user_files import in_own_folder
    from benchmark.system.errors import ConfigError

    settings = load_settings(
        suite, check_base("protocol", protocol, [*choices("protocol"), *in_own_folder("protocol")]), "mlp"
    )
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
    made = named(plan_table(result), suite, result["protocol"], records=found)
    print_json({**about(made), **result}) if as_json else echo(render(made, "terminal", width()), nl=False)


@app.command(name="spread")
@explained
def spread_(
    methods: Annotated[list[str] | None, typer.Argument(metavar="[METHOD]...", help="as tables name them")] = None,
    suite: Suite = "metaworld-15",
    protocol: Protocol = "clar",
    head: Annotated[str | None, typer.Option("--head", help="mlp | bnmlp | diffusion; default: each")] = None,
    form: Format = "terminal",
    records: Records = None,
    with_reference: WithReference = False,
    out: Out = Path("runs"),
    as_json: Json = False,
) -> None:
    """Show how much training seeds differ, method by method."""
    from benchmark.report.comparisons.seed_spreads import spread_table, spreads
    from benchmark.report.tables.forms import render
    from benchmark.report.tables.marks import about
    from benchmark.report.tables.protocol_note import named
    from benchmark.system.errors import ConfigError

    found = [
        r
        for r in read_records(records, out, with_reference)
        if (r.suite, r.protocol) == (suite, protocol) and head in (None, r.head)
    ]
    known = sorted({r.method for r in found})
    unknown = [name for name in methods or () if name not in known]
    if unknown or not known:
        what = f"of {', '.join(unknown)} " if unknown else ""
        raise ConfigError(f"no record {what}on {suite} under {protocol}; there are {', '.join(known) or 'none'}")
    result, notes = spreads([r for r in found if not methods or r.method in methods])
    title = f"Spread over training seeds on {suite}, protocol {protocol}"
    made = named(spread_table(result, notes, title), suite, protocol, records=found)
    if as_json:
        print_json({**about(made), "methods": [dataclasses.asdict(one) for one in result]})
        return
    echo(render(made, form, width()), nl=False)
