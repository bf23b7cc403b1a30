"""`bench compare` and `bench plan`: which of two is better, and what it takes to know."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from benchmark.cli_errors import explained
from benchmark.cli_options import Json, Out, Protocol, Suite, app, measured, print_json, read_records, width

Records = Annotated[
    list[Path] | None, typer.Option("--records", help="folders of records; default: OUT/records, results/measured")
]


@app.command()
@explained
def compare(
    methods: Annotated[list[str], typer.Argument(metavar="METHOD METHOD...", help="as tables name them")],
    suite: Suite = "metaworld-15",
    protocol: Protocol = "clar",
    head: Annotated[str, typer.Option("--head", help="mlp | bnmlp | diffusion")] = "mlp",
    form: Annotated[str, typer.Option("--format", help="terminal | markdown | latex | csv")] = "terminal",
    records: Records = None,
    out: Out = Path("runs"),
    as_json: Json = False,
) -> None:
    """Paired differences on the episodes that both played: intervals, exact McNemar, Holm."""
    from benchmark.errors import ConfigError
    from benchmark.report.comparison import NothingInCommon, comparison_table
    from benchmark.report.comparison import compare as pairs
    from benchmark.report.table import FORMATS, render

    if len(methods) < 2 or len(set(methods)) != len(methods):
        raise ConfigError("give two or more different methods, such as: bench compare dp3 proprio-only")
    if form not in FORMATS:
        raise ConfigError(f"--format {form} is none of {', '.join(FORMATS)}")
    found = [r for r in read_records(records or [out / "records", measured()]) if r.suite == suite]
    found = [r for r in found if r.protocol == protocol]
    known = sorted({r.method for r in found})
    for method in methods:
        if method not in known:
            raise ConfigError(
                f"no record of {method} on {suite} under {protocol}; there are {', '.join(known) or 'none'}"
            )
    try:
        result, notes = pairs(found, methods, head)
    except NothingInCommon as error:
        raise ConfigError(str(error)) from error
    if as_json:
        print_json({"pairs": [dataclasses.asdict(one) for one in result], "notes": notes})
    else:
        title = f"Compared on {suite}, protocol {protocol}, head {head}"
        typer.echo(render(comparison_table(result, notes, title), form, width()), nl=False)


@app.command(name="plan")
@explained
def plan_(
    suite: Suite = "metaworld-15",
    detect: Annotated[float, typer.Option("--detect", help="difference of means, points")] = 5.0,
    power: Annotated[float, typer.Option("--power")] = 0.8,
    alpha: Annotated[float, typer.Option("--alpha", help="two-sided")] = 0.05,
    spread: Annotated[float, typer.Option("--spread", help="of a task's rate over training seeds, points")] = 6.0,
    discordant: Annotated[
        float, typer.Option("--discordant", help="pairs in which one alone succeeds, percent")
    ] = 30.0,
    protocol: Protocol = "clar",
    records: Records = None,
    out: Out = Path("runs"),
    as_json: Json = False,
) -> None:
    """Training seeds, rollouts and hours with which a difference of --detect points would be found."""
    from benchmark.config import load_settings
    from benchmark.errors import ConfigError
    from benchmark.report.power import plan, plan_table
    from benchmark.report.table import render

    for name, value, low, high in (
        ("detect", detect, 0, 100), ("power", power, 0, 1), ("alpha", alpha, 0, 1), ("discordant", discordant, 0, 100),
    ):  # fmt: skip
        if not low < value < high:
            raise ConfigError(f"--{name} {value:g} must lie between {low} and {high}")
    if spread < 0:
        raise ConfigError(f"--spread {spread:g} must not be negative")
    settings = load_settings(suite, protocol, "mlp")
    found = [r for r in read_records(records or [out / "records", measured()]) if r.protocol == protocol]
    result = plan(settings, found, detect / 100, power, alpha, spread / 100, discordant / 100)
    print_json(result) if as_json else typer.echo(render(plan_table(result), "terminal", width()), nl=False)
