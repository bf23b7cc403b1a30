"""`bench compare`: every pair of methods on the episodes that both played, with every training seed of each."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from benchmark.records.record import Record
from benchmark.report.comparisons.comparable import comparable, reference_notes
from benchmark.report.statistics.crossed import Scope, contrast
from benchmark.report.statistics.one_seed import ONE_SEED, tipping_spread
from benchmark.report.statistics.outcomes import Aligned, Played, align, scope_of, successes
from benchmark.report.statistics.paired import probability_of_improvement
from benchmark.report.statistics.questions import Answer, about_checkpoints, about_methods, in_family, pairs_of
from benchmark.report.statistics.remarks import remarks


@dataclass(frozen=True)
class Comparison:
    """first minus second, over the tasks that both have and all training seeds of each.

    these_checkpoints: the trained policies as they are, other episodes. methods_retrained: every arm trained again;
    None, with the reason beside it, where there is one training seed. only_one: episodes that the first alone and that
    the second alone succeeds in, where both have one seed. tipping_spread: the difference of two checkpoints would
    hold over retrainings only if a task's rate varied less than this over training seeds; None with more seeds.
    """

    first: str
    second: str
    tasks: tuple[str, ...]
    first_seeds: Mapping[str, tuple[int, ...]]
    second_seeds: Mapping[str, tuple[int, ...]]
    scope: str
    episodes: int
    only_one: tuple[int, int] | None
    these_checkpoints: Answer
    methods_retrained: Answer | None
    why_not_methods: str | None
    tipping_spread: float | None
    improvement: float


class NothingInCommon(ValueError):
    """Two methods have no task, head and episodes in common."""


Cells = Mapping[str, Mapping[str, Mapping[int, Record]]]
"""Method -> task -> training seed -> record."""


def cells_of(records: Sequence[Record]) -> Cells:
    found: dict[str, dict[str, dict[int, Record]]] = defaultdict(lambda: defaultdict(dict))
    for record in records:
        found[record.method][record.task][record.seed] = record
    return found


def arm_of(name: str, head: str) -> tuple[str, str]:
    """The method and the head of one side, `METHOD` or `METHOD/HEAD`."""
    method, _, own = name.partition("/")
    return method, own or head


def compare(records: Sequence[Record], methods: Sequence[str], head: str) -> tuple[list[Comparison], list[str]]:
    """All pairs of `methods`, in their order, and what was left out and why. Raises `NothingInCommon`.

    records: of one suite and protocol. methods: as tables name them; `METHOD/HEAD` under another head than `head`.
    Cells under other conditions than most are left out, never compared.
    """
    arms = {name: arm_of(name, head) for name in methods}
    chosen, notes = comparable([r for r in records if (r.method, r.head) in arms.values()])
    notes += reference_notes(chosen)
    cells = {
        name: cells_of([r for r in chosen if (r.method, r.head) == arm]).get(arm[0], {}) for name, arm in arms.items()
    }
    scope = scope_of(chosen)
    found, data = [], []
    for first, second in combinations(methods, 2):
        try:
            one, more = paired_cells(cells, first, second, head, scope)
        except NothingInCommon as error:
            apart = [note for note in notes if note.startswith("excluded")]
            said = f"{error}. {' '.join(apart)} (--tasks chooses which are compared)" if apart else str(error)
            raise NothingInCommon(said) from error
        data.append(one)
        notes += more
        found.append(_compared(first, second, one, scope))
    notes += remarks([(one.first, one.second) for one in found], data, scope)
    return in_family(found), list(dict.fromkeys(notes))


def paired_cells(cells: Cells, first: str, second: str, head: str, scope: Scope) -> tuple[Aligned, list[str]]:
    """Both methods' outcomes, and notes about what was left out. Raises `NothingInCommon`."""
    tasks = sorted(set(cells.get(first, {})) & set(cells.get(second, {})))
    if not tasks:
        counts = [sum(map(len, cells.get(name, {}).values())) for name in (first, second)]
        under = "" if "/" in first and "/" in second else f" under head {head}"
        raise NothingInCommon(
            f"{first} and {second} have no cell of the same task{under}; "
            f"there are {counts[0]} and {counts[1]} cells of them"
        )
    arms: list[Mapping[str, Played]] = [
        {task: {seed: successes(record.retest) for seed, record in cells[name][task].items()} for task in tasks}
        for name in (first, second)
    ]
    data = align(arms, tasks, scope)
    if not data.tasks:
        raise NothingInCommon(f"{first} and {second} have played no two episodes that both could be run on")
    alone = sorted(set(cells[first]) ^ set(cells[second]))
    notes = [f"{first} and {second}: only one of them has {', '.join(alone)}; left out."] if alone else []
    return data, notes


def _compared(first: str, second: str, data: Aligned, scope: Scope) -> Comparison:
    checkpoints, methods = about_checkpoints(data, scope), about_methods(data, scope)
    single = data.most == 1
    tipping = only = None
    if single:
        pairs = pairs_of(data)
        only = sum(one.first_only for one in pairs), sum(one.second_only for one in pairs)
        variance = float(contrast(data.arms, [1, -1], scope).episode_variance)
        tipping = tipping_spread(checkpoints.difference, variance, len(data.tasks), scope)
    rates = [[values.mean(1).tolist() for values in arm] for arm in data.arms]
    return Comparison(
        first,
        second,
        data.tasks,
        dict(zip(data.tasks, data.seeds[0], strict=True)),
        dict(zip(data.tasks, data.seeds[1], strict=True)),
        scope.value,
        sum(v.shape[1] for v in data.arms[0]),
        only,
        checkpoints,
        methods,
        ONE_SEED if methods is None else None,
        tipping,
        probability_of_improvement(*rates),
    )
