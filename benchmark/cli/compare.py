"""`bench compare`: which of two is better, these checkpoints or the methods retrained."""

from __future__ import annotations

import dataclasses
import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmark.cli.errors import explained
from benchmark.cli.option_types import BETWEEN_0_AND_1, real, whole
from benchmark.cli.options import (
    Data,
    Format,
    Json,
    Out,
    Protocol,
    Records,
    Suite,
    WeightsOption,
    WithReference,
    app,
    echo,
    print_json,
    read_placed,
    split,
    width,
)
from benchmark.settings.catalog import register_baselines


@app.command()
@explained
def compare(
    methods: Annotated[
        list[str], typer.Argument(metavar="METHOD METHOD...", help="as tables name them, METHOD/HEAD, or FILE.py:Class")
    ],
    suite: Suite = "metaworld-15",
    protocol: Protocol = "clar",
    head: Annotated[str, typer.Option("--head", help="of those that name none; mlp | bnmlp | diffusion | ...")] = "mlp",
    tasks: Annotated[
        str | None, typer.Option("--tasks", help="comma-separated; default: all that have records")
    ] = None,
    form: Format = "terminal",
    shift: Annotated[
        str | None, typer.Option("--shift", help="compare drops under it: corner2, instructions=shuffled, ...")
    ] = None,
    looks: Annotated[
        bool, typer.Option("--looks", help="methods, retrained: test at 3, 5 and 10 seeds, levels .005, .015, .03")
    ] = False,
    until_decided: Annotated[
        bool,
        typer.Option(
            "--until-decided", help="more episodes of these checkpoints until one is better; says nothing about seeds"
        ),
    ] = False,
    alpha: Annotated[
        float,
        typer.Option(
            "--alpha", parser=real(BETWEEN_0_AND_1), metavar="P", help="with --until-decided: rate of false alarms"
        ),
    ] = 0.05,
    batch: Annotated[
        int,
        typer.Option(
            "--batch", parser=whole(1, 10_000), metavar="N", help="with --until-decided: episodes between two tests"
        ),
    ] = 25,
    most: Annotated[
        int,
        typer.Option(
            "--most", parser=whole(1, 100_000), metavar="N", help="with --until-decided: further episodes of each cell"
        ),
    ] = 400,
    weights: WeightsOption = None,
    records: Records = None,
    with_reference: WithReference = False,
    out: Out = Path("runs"),
    data: Data = None,
    as_json: Json = False,
    settings: Annotated[list[str] | None, typer.Option("--set", help="KEY=VALUE, as the cells were run with")] = None,
) -> None:
    """Compare methods on the episodes that both played.

    Two differences: of these checkpoints, and of the methods retrained (over seeds). `METHOD/HEAD` compares heads.
    """
    from benchmark.report.comparisons.compare import NothingInCommon, arm_of
    from benchmark.report.comparisons.compare import compare as pairs
    from benchmark.report.comparisons.compare_table import comparison_table
    from benchmark.report.tables.forms import render
    from benchmark.report.tables.marks import about
    from benchmark.report.tables.protocol_note import named
    from benchmark.settings.labels import base_of
    from benchmark.settings.load import load_settings, policy_named
    from benchmark.system.errors import ConfigError

    register_baselines()
    head = policy_named(head) or head
    files, methods = _names_of_files(methods)
    if len(methods) < 2 or len(set(methods)) != len(methods):
        raise ConfigError("give two or more different methods, such as: bench compare dp3 proprio-only")
    if settings:  # what was changed is in the names of what was run
        changed = load_settings(suite, base_of(protocol), base_of(head), settings)
        protocol, head = changed.protocol.name, changed.head.name
    placed = read_placed(records, out, with_reference)
    placed = [(path, r) for path, r in placed if (r.suite, r.protocol) == (suite, protocol)]
    if (wanted := split(tasks, "--tasks")) is not None:
        there = sorted({r.task for _, r in placed})
        if absent := sorted(set(wanted) - set(there)):
            raise ConfigError(
                f"no record of the task {absent[0]} on {suite} under {protocol}; there are {', '.join(there)}"
            )
        placed = [(path, r) for path, r in placed if r.task in wanted]
    found = [r for _, r in placed]
    known = sorted({r.method for r in found})
    for method in methods:
        if arm_of(method, head)[0] not in known:
            raise ConfigError(
                f"no record of {method} on {suite} under {protocol}; there are {', '.join(known) or 'none'}"
            )
    if len({arm_of(method, head) for method in methods}) < len(methods):
        raise ConfigError(f"two of {', '.join(methods)} are the same: --head is {head} for those that name none")
    own_heads = [method for method in methods if "/" in method]
    if own_heads and (shift is not None or looks or until_decided):
        raise ConfigError(f"{own_heads[0]}: with --shift, --looks or --until-decided all have one head, --head")
    if sum((shift is not None, looks, until_decided)) > 1:
        raise ConfigError("--shift, --looks and --until-decided are three different questions: ask them one by one")
    if shift is not None:
        _compare_shift(placed, methods, (suite, protocol, head), shift, form, as_json)
        return
    if looks:
        _look(found, methods, (suite, protocol, head), form, as_json, out)
        return
    if until_decided:
        if len(methods) != 2:
            raise ConfigError("--until-decided takes two methods")
        names = suite, protocol, head
        decision = _decide(placed, methods, names, settings, weights, (alpha, batch, most), out, data, files)
        print_json(dataclasses.asdict(decision)) if as_json else echo(_in_words(decision, methods, alpha))
        return
    try:
        result, notes = pairs(found, methods, head)
    except NothingInCommon as error:
        raise ConfigError(str(error)) from error
    title = f"Compared on {suite}, protocol {protocol}" + (f", head {head}" if len(own_heads) < len(methods) else "")
    made = named(comparison_table(result, notes, title), suite, protocol, records=found)
    if as_json:
        print_json({**about(made), "head": head, "pairs": [dataclasses.asdict(one) for one in result]})
    else:
        echo(render(made, form, width()), nl=False)


def _names_of_files(methods: list[str]) -> tuple[dict[str, str], list[str]]:
    """Name -> `path/to/file.py:Class` for those that are given so, and all methods by their names in tables, with a
    head of their own as records have it: `act` means `act-head`."""
    from benchmark.settings.load import policy_named
    from methods.registry import class_of

    files, names = {}, []
    for given in methods:
        folder, of_file, rest = given.rpartition(".py:")
        name, slash, head = rest.partition("/")
        if of_file:
            file = f"{folder}{of_file}{name}"
            name = class_of(file).card.name
            files[name] = file
        names.append(f"{name}/{policy_named(head) or head}" if slash else name)
    return files, names


def _compare_shift(
    placed: list[Any], methods: list[str], names: tuple[str, str, str], shift: str, form: str, as_json: bool
) -> None:
    from benchmark.report.comparisons.compare import NothingInCommon
    from benchmark.report.comparisons.compare_shifts import compare_shift, robustness_table
    from benchmark.report.tables.forms import render
    from benchmark.report.tables.marks import about
    from benchmark.report.tables.protocol_note import named
    from benchmark.system.errors import ConfigError

    suite, protocol, head = names
    try:
        found, notes = compare_shift(placed, methods, head, shift)
    except NothingInCommon as error:
        raise ConfigError(str(error)) from error
    title = f"Drops under {shift} on {suite}, protocol {protocol}, head {head}"
    made = named(robustness_table(found, notes, title), suite, protocol, records=[r for _, r in placed])
    if as_json:
        print_json({**about(made), "head": head, "pairs": [dataclasses.asdict(one) for one in found]})
        return
    echo(render(made, form, width()), nl=False)


def _look(
    found: list[Any], methods: list[str], names: tuple[str, str, str], form: str, as_json: bool, out: Path
) -> None:
    from benchmark.report.comparisons.compare import NothingInCommon
    from benchmark.report.comparisons.compare_at_looks import look_at, looks_table, run_command
    from benchmark.report.tables.forms import render
    from benchmark.report.tables.marks import about
    from benchmark.report.tables.protocol_note import named
    from benchmark.settings.labels import base_of
    from benchmark.settings.load import load_settings
    from benchmark.system.errors import ConfigError

    suite, protocol, head = names
    try:
        result, notes = look_at(found, methods, head)
    except NothingInCommon as error:
        raise ConfigError(str(error)) from error
    of_suite = load_settings(suite, base_of(protocol), base_of(head)).suite
    commands = []
    for one in result:
        whole = of_suite.joint or set(one.tasks) == set(of_suite.task_names)
        for label, seeds in one.train.items():
            tasks = None if whole else one.tasks
            commands.append(run_command(label, seeds, suite, protocol, head, tasks, str(out)))
    commands = list(dict.fromkeys(commands))
    title = f"Looks over training seeds on {suite}, protocol {protocol}, head {head}"
    made = named(looks_table(result, notes, title, commands), suite, protocol, records=found)
    if as_json:
        pairs = [dataclasses.asdict(one) for one in result]
        print_json({**about(made), "head": head, "pairs": pairs, "next": commands})
        return
    echo(render(made, form, width()), nl=False)


def _decide(
    placed: list[Any],
    methods: list[str],
    names: tuple[str, str, str],
    overrides: list[str] | None,
    weights: str | None,
    limits: tuple[float, int, int],
    out: Path,
    data: Path | None,
    files: dict[str, str],
) -> Any:
    from benchmark.experiment.make_cells import preflight
    from benchmark.experiment.until_decided import finished_cells, until_decided
    from benchmark.records.paths import Paths
    from benchmark.settings.labels import base_of
    from benchmark.settings.load import load_settings
    from benchmark.system.errors import ConfigError
    from benchmark.system.progress import say

    register_baselines()
    settings = load_settings(names[0], base_of(names[1]), base_of(names[2]), overrides)
    paths = Paths(out, data or out / "data")
    if (settings.protocol.name, settings.head.name) != names[1:]:
        raise ConfigError(
            f"these cells were run with {names[1]} and {names[2]}, and --set makes that {settings.protocol.name} and "
            f"{settings.head.name}: give --set KEY=VALUE for each change that the names say, and no other"
        )
    first, second = (finished_cells(settings, placed, method, weights, paths, files.get(method)) for method in methods)
    shared = {task for task, _ in first} & {task for task, _ in second}
    if not shared:
        raise ConfigError(f"{methods[0]} and {methods[1]} have no finished cell of the same task")
    cells = [[found[key] for key in sorted(found) if key[0] in shared] for found in (first, second)]
    preflight([*cells[0], *cells[1]])
    alpha, batch, most = limits
    return until_decided(cells[0], cells[1], paths, alpha, batch, most, shlex.join(["bench", *sys.argv[1:]]), say)


def _in_words(decision: Any, methods: list[str], alpha: float) -> str:
    from benchmark.report.statistics.questions import CHECKPOINTS, METHODS

    counts = (
        f"ahead in {decision.first_ahead} : {decision.second_ahead} of {decision.episodes} episodes, "
        f"evidence {decision.e:.3g} of {decision.needed:g}"
    )
    other = f"It says nothing about {METHODS}: `bench compare {' '.join(methods)} --looks` does."
    if decision.better is None:
        return f"{CHECKPOINTS}: undecided at {alpha:g}: {counts}; --most allows more.\n{other}"
    return (
        f"{CHECKPOINTS}: those of {decision.better} are better at {alpha:g}: {counts}.\n"
        f"{decision.played} further rollouts were played, {decision.saved} fewer than --most allowed.\n{other}"
    )
