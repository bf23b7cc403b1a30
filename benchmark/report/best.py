"""Which numbers of a column are printed bold: every method that is not significantly below the best."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from benchmark.report.paired import exact_mcnemar, holm, paired
from benchmark.report.record import Evaluation, Record
from benchmark.report.stats import mean

ALPHA = 0.05
BOLD_NOTE = (
    "bold: every method that is not significantly below the best of its column, on the same episodes (exact McNemar, "
    "stratified over tasks and seeds, Holm over the methods of the column, 5 %); only where two or more methods have "
    "all tasks. It says nothing about other training seeds."
)

Runs = Mapping[str, Sequence[tuple[Record, Evaluation | None]]]
"""Task -> records of one method, each with the evaluation that counts, None where there is none."""


def not_below_best(methods: Mapping[str, Runs], tasks: Sequence[str]) -> set[str]:
    """Of those that have all `tasks`; empty unless two or more do. One that shares no episode with the best is not."""
    whole = {name: _runs(found, tasks) for name, found in methods.items()}
    whole = {name: runs for name, runs in whole.items() if {task for task, _ in runs} == set(tasks)}
    if len(whole) < 2:
        return set()
    means = {name: _mean(runs.items()) for name, runs in whole.items()}
    best = max(means, key=lambda name: means[name])
    others, values = [], []
    for name, runs in whole.items():
        pairs = [paired(whole[best][key], runs[key]) for key in sorted(set(runs) & set(whole[best]))]
        if name != best and any(one.n > 0 for one in pairs):
            others.append(name)
            values.append(exact_mcnemar(pairs))
    return {best} | {name for name, p in zip(others, holm(values), strict=True) if p > ALPHA}


def _runs(found: Runs, tasks: Sequence[str]) -> dict[tuple[str, int], Evaluation]:
    return {
        (task, record.seed): evaluation
        for task in tasks
        for record, evaluation in found.get(task, ())
        if evaluation is not None and evaluation.tally.n > 0
    }


def _mean(runs: Iterable[tuple[tuple[str, int], Evaluation]]) -> float:
    by_task: dict[str, list[float]] = {}
    for (task, _), evaluation in runs:
        by_task.setdefault(task, []).append(evaluation.tally.rate)
    return mean([mean(rates) for rates in by_task.values()])


def bold_cells(
    rows: Sequence[tuple[str, ...]], methods: Mapping[str, Mapping[str, Runs]], tasks: Sequence[str]
) -> frozenset[tuple[int, int]]:
    """Cells of a table whose rows start with (label, number) and go on with each task and their mean.

    methods: number -> label -> its runs.
    """
    found = set()
    for number, of_number in methods.items():
        for column, group in enumerate([*([task] for task in tasks), tasks]):
            chosen = not_below_best(of_number, group)
            found |= {(i, 2 + column) for i, row in enumerate(rows) if row[1] == number and row[0] in chosen}
    return frozenset(found)


def retests(by_task: Mapping[str, Sequence[Record]]) -> Runs:
    return {task: [(record, record.retest) for record in records] for task, records in by_task.items()}
