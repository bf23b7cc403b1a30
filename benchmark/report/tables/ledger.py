"""The ledger: for every row of CLAR's Tables I and II what is printed, what was reproduced, what is not yet and why."""

from __future__ import annotations

from collections.abc import Sequence

from benchmark.records.record import Record
from benchmark.records.shipped_methods import reported_as
from benchmark.report.comparisons.comparable import comparable, other_labels
from benchmark.report.tables.clar_2 import RLBENCH
from benchmark.report.tables.mean_cells import interval_notes, rates_interval
from benchmark.report.tables.only_printed import ROMAN
from benchmark.report.tables.papers import PROTOCOLS
from benchmark.report.tables.printed_numbers import reported
from benchmark.report.tables.protocol_note import PAPERS, departure
from benchmark.report.tables.table import Table
from benchmark.settings.labels import base_of
from benchmark.settings.load import DEFAULT_HEAD
from benchmark.settings.suite import Suite
from methods.card import MethodCard

WHERE = {1: "MetaWorld", 2: "RLBench"}


def ledger(records: Sequence[Record], cards: Sequence[MethodCard], suite: Suite, protocol: str) -> Table:
    """One row for each method that a row of the table can be reproduced with. Records of random weights where the
    method has pre-trained ones reproduce nothing and are left out. suite: `rlbench-4` for Table II; else Table I."""
    number = 2 if suite.name == RLBENCH else 1
    name_of_table, papers = f"Table {ROMAN[number]}", PROTOCOLS.get(("clar", number), PAPERS)
    printed = {(n.method, n.column): n.value for n in reported("clar", name_of_table)}
    here = [r for r in records if r.suite == suite.name and r.protocol == protocol and not r.weights.get("untrained")]
    kept, apart = comparable(here)
    rows: list[tuple[str, ...]] = []
    rules: set[int] = set()
    for name in dict.fromkeys(method for method, _ in printed):
        rules.add(len(rows))
        own = [card for card in cards if card.reported_as == name]
        for card in own:
            of_card = [r for r in kept if r.method == card.name and reported_as(r) == name]
            for head in sorted({r.head for r in of_card}) or [card.head or DEFAULT_HEAD]:
                found = [r for r in of_card if r.head == head]
                usual = head == (card.head or DEFAULT_HEAD)
                rows.append(
                    (
                        name,
                        f"{printed[name, 'mean']:.1f}",
                        card.name if usual else f"{card.name}, {head}",
                        _reproduced(found, suite),
                        _status(found, card, suite, number),
                        f"bench run --suite {suite.name} --method {card.name} --protocol {base_of(protocol)}"
                        + ("" if usual else f" --head {base_of(head)}")
                        + (" ..." if "+" in protocol + head else ""),
                    )
                )
        if not own:
            rows.append((name, f"{printed[name, 'mean']:.1f}", "–", "–", "not yet: no method of ours", "–"))
    notes = (
        *departure(protocol, papers),
        f"printed: CLAR {name_of_table}, mean over {len(suite.task_names)} {WHERE[number]} tasks, best of 15 "
        "evaluations. reproduced: mean retest of the measured tasks in %, [95 % interval], tasks/all; comparable at "
        f"{len(suite.task_names)}/{len(suite.task_names)} only.",
        *interval_notes(kept),
        *apart,
        *other_labels(records, suite.name, protocol),
    )
    columns = ("row", "printed", "method", "reproduced", "status", "command")
    return Table(f"Ledger of CLAR {name_of_table}", columns, tuple(rows), notes, frozenset(rules - {0}), text_columns=6)


def _reproduced(found: Sequence[Record], suite: Suite) -> str:
    by_task = {task: [(r, r.retest) for r in found if r.task == task] for task in suite.task_names}
    by_task = {task: own for task, own in by_task.items() if any(e.tally.n for _, e in own)}
    if not by_task:
        return "–"
    rate, low, high, _ = rates_interval(by_task, suite.task_names)
    return f"{100 * rate:.1f} [{100 * low:.0f}, {100 * high:.0f}], {len(by_task)}/{len(suite.task_names)}"


def _status(found: Sequence[Record], card: MethodCard, suite: Suite, number: int) -> str:
    tasks = {r.task for r in found}
    if tasks == set(suite.task_names):
        return "done"
    if tasks:
        return f"partly: {', '.join(task for task in suite.task_names if task in tasks)}"
    if number == 2:
        return "not yet: needs CoppeliaSim, which cannot be had where this was made (docs/rlbench.md)"
    if any(file.url is None for file in card.weights):
        return "not yet: nobody has published its weights; bench pretrain makes them (docs/clar.md), on a GPU"
    if card.requires:
        return f"not yet: needs the package {card.requires[0][0]} and its weights, neither of which was at hand"
    if card.weights:
        return "not yet: its weights were not at hand (no internet where this was made)"
    return "not yet: needs no weights, but a GPU: on two cores it takes hours a task (docs/measured.md)"
