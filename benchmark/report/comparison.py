"""`bench compare`: every pair of methods on the episodes that both played."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from benchmark.report.conditions import comparable
from benchmark.report.paired import Pairs, difference, exact_mcnemar, holm, paired, probability_of_improvement
from benchmark.report.record import Record
from benchmark.report.table import Table


@dataclass(frozen=True)
class Comparison:
    """first minus second. tasks, seeds: that both have. p: as it is, holm: adjusted for the family of pairs."""

    first: str
    second: str
    tasks: tuple[str, ...]
    seeds: tuple[int, ...]
    strata: tuple[Pairs, ...]
    difference: float
    low: float
    high: float
    p: float
    holm: float
    improvement: float


class NothingInCommon(ValueError):
    """Two methods have no cell of the same task, head and training seed."""


def compare(records: Sequence[Record], methods: Sequence[str], head: str) -> tuple[list[Comparison], list[str]]:
    """All pairs of `methods`, in their order, and what was left out and why. Raises `NothingInCommon`.

    records: of one suite and protocol. Cells under other conditions than most are left out, never compared.
    """
    chosen, notes = comparable([r for r in records if r.method in methods and r.head == head])
    cells: dict[str, dict[tuple[str, int], Record]] = defaultdict(dict)
    for record in chosen:
        cells[record.method][record.task, record.seed] = record
    found = []
    for first, second in combinations(methods, 2):
        shared = sorted(set(cells[first]) & set(cells[second]))
        if not shared:
            raise NothingInCommon(
                f"{first} and {second} have no cell of the same task and training seed under head {head}; "
                f"there are {len(cells[first])} and {len(cells[second])} cells of them"
            )
        alone = sorted({task for task, _ in set(cells[first]) ^ set(cells[second])})
        if alone:
            notes.append(f"{first} and {second}: only one of them has {', '.join(alone)} (or a seed of it); left out.")
        strata = tuple(paired(cells[first][key].retest, cells[second][key].retest) for key in shared)
        strata = tuple(s for s in strata if s.n)
        if not strata:
            raise NothingInCommon(f"{first} and {second} have played no episode that both could be run on")
        rates = [
            [[cells[name][task, seed].retest.tally.rate for t, seed in shared if t == task]
             for task in dict.fromkeys(task for task, _ in shared)]
            for name in (first, second)
        ]  # fmt: skip
        tasks, seeds = tuple(dict.fromkeys(task for task, _ in shared)), tuple(sorted({seed for _, seed in shared}))
        found.append(Comparison(
            first, second, tasks, seeds, strata, *difference(strata), exact_mcnemar(strata), 1.0,
            probability_of_improvement(*rates),
        ))  # fmt: skip
    adjusted = holm([one.p for one in found])
    return [Comparison(**{**vars(one), "holm": p}) for one, p in zip(found, adjusted, strict=True)], notes


def comparison_table(found: Sequence[Comparison], notes: Sequence[str], title: str) -> Table:
    rows = []
    for one in found:
        only = sum(s.first_only for s in one.strata), sum(s.second_only for s in one.strata)
        rows.append((
            f"{one.first} - {one.second}", f"{len(one.tasks)} x {len(one.seeds)}", str(sum(s.n for s in one.strata)),
            f"{only[0]} : {only[1]}", f"{100 * one.difference:+.1f} [{100 * one.low:+.1f}, {100 * one.high:+.1f}]",
            _p(one.p), _p(one.holm), f"{100 * one.improvement:.0f}",
        ))  # fmt: skip
    columns = ("difference", "tasks x seeds", "pairs", "only one succeeds", "points", "p", "Holm", "P(improves), %")
    own = (
        "Retests on the same episodes. points: mean over tasks of the difference of success rates, with a 95 % "
        "interval (Agresti and Min) of these rollouts alone, not of training seeds.",
        "p: exact McNemar, stratified over tasks and seeds. Holm: adjusted for all pairs of this table. P(improves): "
        "that a training run of the first beats one of the second on a task, ties half.",
    )
    return Table(title, columns, tuple(rows), (*own, *notes), text_columns=1)


def _p(value: float) -> str:
    return f"{value:.3f}" if value >= 0.001 else f"{value:.0e}"
