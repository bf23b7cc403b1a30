"""Which numbers of a column are printed bold: every method that may still be the best of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations

from benchmark.records.record import Evaluation, Record
from benchmark.report.statistics.crossed import Scope, contrast
from benchmark.report.statistics.family import maybe_best
from benchmark.report.statistics.intervals import mean
from benchmark.report.statistics.one_seed import ONE_SEED
from benchmark.report.statistics.outcomes import Aligned, Played, align, scope_of, successes
from benchmark.report.statistics.questions import about_checkpoints

ALPHA = 0.05
MANY = 6
"""So many methods or more that three seeds of one task, or of a joint policy, cannot separate them."""

Runs = Mapping[str, Sequence[tuple[Record, Evaluation | None]]]
"""Task -> records of one method, each with the evaluation that counts, None where there is none."""


def not_below_best(methods: Mapping[str, Runs], tasks: Sequence[str]) -> set[str]:
    """Of those that have all `tasks`; empty unless two or more do.

    Where every cell has two training seeds or more the question is of the methods, else of these checkpoints, for all
    of them. One that shares no episode with the best is not.
    """
    whole = _whole(methods, tasks)
    if not whole:
        return set()
    names = list(whole)
    of_seeds, scope = _by_seeds(whole), _scope(methods, tasks)
    best = max(names, key=lambda name: _rate(whole[name]))
    differences, values, apart = [], [], set()
    for first, second in combinations(names, 2):
        data = align([whole[first], whole[second]], tasks, scope)
        if set(data.tasks) != set(tasks):  # nothing to compare on
            apart |= {first, second} - {best} if best in (first, second) else set()
            differences.append(0.0)
            values.append(1.0)
            continue
        difference, p = _test(data, scope, of_seeds)
        differences.append(difference)
        values.append(p)
    return {names[i] for i in maybe_best(len(names), differences, values, ALPHA)} - apart


def _test(data: Aligned, scope: Scope, of_seeds: bool) -> tuple[float, float]:
    if of_seeds:
        found = contrast(data.arms, [1, -1], scope)
        return float(found.estimate), float(found.p_of_methods())
    answer = about_checkpoints(data, scope)
    return answer.difference, answer.p


def _whole(methods: Mapping[str, Runs], tasks: Sequence[str]) -> dict[str, dict[str, Played]]:
    """The methods that have every task, and what each training seed played; {} unless two or more do."""
    there = {
        name: {task: [(r, e) for r, e in runs.get(task, ()) if e is not None and e.tally.n] for task in tasks}
        for name, runs in methods.items()
    }
    there = {name: runs for name, runs in there.items() if all(runs.values())}
    if len(there) < 2:
        return {}
    return {
        name: {task: {r.seed: successes(e) for r, e in of_task} for task, of_task in runs.items()}
        for name, runs in there.items()
    }


def _by_seeds(whole: Mapping[str, Mapping[str, Played]]) -> bool:
    return all(len(of_task) > 1 for played in whole.values() for of_task in played.values())


def _scope(methods: Mapping[str, Runs], tasks: Sequence[str]) -> Scope:
    return scope_of([record for runs in methods.values() for task in tasks for record, _ in runs.get(task, ())])


def _rate(played: Mapping[str, Played]) -> float:
    """Mean over tasks of the mean over seeds."""
    return mean([mean([mean(list(rows.values())) for rows in of_task.values()]) for of_task in played.values()])


def bold_cells(
    rows: Sequence[tuple[str, ...]], methods: Mapping[str, Mapping[str, Runs]], groups: Sequence[Sequence[str]]
) -> frozenset[tuple[int, int]]:
    """Cells of a table whose rows start with (label, number) and go on with a mean over each group of tasks.

    methods: number -> label -> its runs. groups: none of an empty group is bold.
    """
    found = set()
    for number, of_number in methods.items():
        for column, group in enumerate(groups):
            chosen = not_below_best(of_number, group) if group else set()
            found |= {(i, 2 + column) for i, row in enumerate(rows) if row[1] == number and row[0] in chosen}
    return frozenset(found)


def groups_of(tasks: Sequence[str]) -> list[Sequence[str]]:
    """The columns of such a table: each task, and all of them."""
    return [*([task] for task in tasks), tasks]


def bold_notes(methods: Iterable[Mapping[str, Runs]], groups: Sequence[Sequence[str]]) -> list[str]:
    """What bold means in a table, computed from what is in it; [] where nothing is bold.

    methods: those of each kind of row. groups: the tasks of each column.
    """
    asked, weak = set(), False
    for of_number in methods:
        for tasks in groups:
            whole = _whole(of_number, tasks)
            if not whole:
                continue
            asked.add(_by_seeds(whole))
            fewest = min(len(of_task) for played in whole.values() for of_task in played.values())
            alone = len(tasks) == 1 or _scope(of_number, tasks) is Scope.JOINT
            weak |= 1 < fewest <= 3 and alone and len(whole) >= MANY
    if not asked:
        return []
    tests = {
        True: "would the method be better if all methods were trained again (training seeds crossed with episodes)",
        False: f"are these checkpoints better (exact McNemar over tasks; {ONE_SEED})",
    }
    said = "; where a method of the column has one seed: ".join(tests[kind] for kind in sorted(asked, reverse=True))
    notes = [
        "bold: every method that may be the best of its column: no other is significantly better (all pairs on the "
        f"same episodes, 5 %, Holm's correction). It answers: {said}. Only where two or more methods have all tasks."
    ]
    if weak:
        notes.append(
            f"three seeds cannot separate {MANY} or more methods on one task or of joint policies: that all are bold "
            "does not show that they are equal."
        )
    return notes


def retests(by_task: Mapping[str, Sequence[Record]]) -> Runs:
    return {task: [(record, record.retest) for record in records] for task, records in by_task.items()}
