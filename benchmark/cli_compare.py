"""`bench compare` and `bench plan`: which of two is better, and what it takes to know."""

from __future__ import annotations

import dataclasses
import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmark.cli_errors import explained
from benchmark.cli_options import (
    Data,
    Json,
    Out,
    Protocol,
    Records,
    Suite,
    WeightsOption,
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
def compare(
    methods: Annotated[list[str], typer.Argument(metavar="METHOD METHOD...", help="as tables name them")],
    suite: Suite = "metaworld-15",
    protocol: Protocol = "clar",
    head: Annotated[str, typer.Option("--head", help="mlp | bnmlp | diffusion")] = "mlp",
    form: Annotated[str, typer.Option("--format", help="terminal | markdown | latex | csv | html")] = "terminal",
    shift: Annotated[
        str | None, typer.Option("--shift", help="compare drops under it: corner2, instructions=shuffled, ...")
    ] = None,
    until_decided: Annotated[
        bool, typer.Option("--until-decided", help="two methods play on until one is better")
    ] = False,
    alpha: Annotated[float, typer.Option("--alpha", help="with --until-decided: false alarms")] = 0.05,
    batch: Annotated[int, typer.Option("--batch", help="with --until-decided: episodes between two looks")] = 25,
    most: Annotated[int, typer.Option("--most", help="with --until-decided: further episodes of each cell")] = 400,
    weights: WeightsOption = None,
    records: Records = None,
    with_reference: WithReference = False,
    out: Out = Path("runs"),
    data: Data = None,
    as_json: Json = False,
    settings: Annotated[list[str] | None, typer.Option("--set", help="KEY=VALUE, as the cells were run with")] = None,
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
    placed = read_placed(records, out, with_reference)
    placed = [(path, r) for path, r in placed if (r.suite, r.protocol) == (suite, protocol)]
    found = [r for _, r in placed]
    known = sorted({r.method for r in found})
    for method in methods:
        if method not in known:
            raise ConfigError(
                f"no record of {method} on {suite} under {protocol}; there are {', '.join(known) or 'none'}"
            )
    if shift is not None:
        _compare_shift(placed, methods, (suite, protocol, head), shift, form, as_json)
        return
    if until_decided:
        if len(methods) != 2 or not 0 < alpha < 1 or batch < 1 or most < 1:
            raise ConfigError(
                "--until-decided takes two methods, 0 < --alpha < 1, and --batch and --most of at least 1"
            )
        decision = _decide(placed, methods, (suite, protocol, head), settings, weights, (alpha, batch, most), out, data)
        print_json(dataclasses.asdict(decision)) if as_json else typer.echo(_in_words(decision, methods, alpha))
        return
    try:
        result, notes = pairs(found, methods, head)
    except NothingInCommon as error:
        raise ConfigError(str(error)) from error
    if as_json:
        print_json({"pairs": [dataclasses.asdict(one) for one in result], "notes": notes})
    else:
        title = f"Compared on {suite}, protocol {protocol}, head {head}"
        typer.echo(render(comparison_table(result, notes, title), form, width()), nl=False)


def _compare_shift(
    placed: list[Any], methods: list[str], names: tuple[str, str, str], shift: str, form: str, as_json: bool
) -> None:
    from benchmark.errors import ConfigError
    from benchmark.report.comparison import NothingInCommon
    from benchmark.report.robustness import compare_shift, robustness_table
    from benchmark.report.table import render

    suite, protocol, head = names
    try:
        found, notes = compare_shift(placed, methods, head, shift)
    except NothingInCommon as error:
        raise ConfigError(str(error)) from error
    if as_json:
        print_json({"pairs": [dataclasses.asdict(one) for one in found], "notes": notes})
        return
    title = f"Drops under {shift} on {suite}, protocol {protocol}, head {head}"
    typer.echo(render(robustness_table(found, notes, title), form, width()), nl=False)


def _decide(
    placed: list[Any], methods: list[str], names: tuple[str, str, str], overrides: list[str] | None,
    weights: str | None, limits: tuple[float, int, int], out: Path, data: Path | None,
) -> Any:  # fmt: skip
    from benchmark.cell import Paths, preflight
    from benchmark.config import load_settings
    from benchmark.deciding import finished_cells, until_decided
    from benchmark.errors import ConfigError
    from benchmark.progress import say

    register_baselines()
    settings, paths = load_settings(*names, overrides), Paths(out, data or out / "data")
    first, second = (finished_cells(settings, placed, method, weights, paths) for method in methods)
    shared = sorted(set(first) & set(second))
    if not shared:
        raise ConfigError(f"{methods[0]} and {methods[1]} have no finished cell of the same task and training seed")
    cells = [first[key] for key in shared], [second[key] for key in shared]
    preflight([*cells[0], *cells[1]])
    alpha, batch, most = limits
    return until_decided(*cells, paths, alpha, batch, most, shlex.join(["bench", *sys.argv[1:]]), say)


def _in_words(decision: Any, methods: list[str], alpha: float) -> str:
    counts = f"{decision.first_only} : {decision.second_only} of {decision.pairs} pairs in which one alone succeeds"
    if decision.better is None:
        return f"undecided at {alpha:g}: {counts}, evidence {decision.e:.3g} of {decision.needed:g}; --most allows more"
    return (
        f"{decision.better} is better at {alpha:g}: {counts}, evidence {decision.e:.3g} of {decision.needed:g}.\n"
        f"{decision.played} further rollouts were played, {decision.saved} fewer than --most allowed."
    )


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
    with_reference: WithReference = False,
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
    found = [r for r in read_records(records, out, with_reference) if r.protocol == protocol]
    result = plan(settings, found, detect / 100, power, alpha, spread / 100, discordant / 100)
    print_json(result) if as_json else typer.echo(render(plan_table(result), "terminal", width()), nl=False)
