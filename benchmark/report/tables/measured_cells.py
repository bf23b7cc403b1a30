"""Cells of a paper's table that say what was measured, and what has to be said beside a number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchmark.records.record import Record, Tally
from benchmark.report.comparisons.comparable import reference_mark
from benchmark.report.statistics.intervals import mean
from benchmark.report.tables.bold import retests
from benchmark.report.tables.mean_cells import rates_interval

MISSING = "not run"
NUMBERS = ("best*", "retest", "last")
MOST_APART = 12
PARTIAL = "† mean over the tasks run so far (tasks/all); not comparable with the reported mean."


def tasks_cell(by_task: Mapping[str, Sequence[Record]], tasks: Sequence[str], number: str, marks: bool = True) -> str:
    """The mean over `tasks` of one of the three numbers, and what has to be said beside it."""
    tallies = [_pool([_number(r, number) for r in by_task[task]]) for task in tasks if task in by_task]
    present = [tally for tally in tallies if tally.n]
    if not present:
        return "errors only" if tallies else MISSING
    text = f"{100 * mean([t.rate for t in present]):.1f}"
    if number == "retest":
        _, low, high, _ = rates_interval(retests(by_task), tasks)
        text += f" [{100 * low:.0f}, {100 * high:.0f}]"
    if marks:
        text += mark([record for task in tasks for record in by_task.get(task, [])])
    return text if len(present) == len(tasks) else f"{text} † {len(present)}/{len(tasks)}"


def three_lines(
    label: str,
    by_task: Mapping[str, Sequence[Record]],
    groups: Sequence[Sequence[str]],
    marked: Sequence[bool],
    suffix: str = "",
) -> list[tuple[str, ...]]:
    """best*, retest and last of one method. groups: the tasks of each column, none for one that is not measured here.
    marked: for each column whether `mark` stands beside its numbers."""
    return [
        (
            label,
            f"{number}{suffix}",
            *[tasks_cell(by_task, tasks, number, marks) for tasks, marks in zip(groups, marked, strict=True)],
        )
        for number in NUMBERS
    ]


def apart_rows(
    members: Sequence[Record], kept: Sequence[Record], columns: Sequence[Sequence[str]]
) -> list[tuple[str, ...]]:
    """A line for each record that `comparable` set apart, its retest in the columns of its task; never averaged."""
    known = {id(record) for record in kept}
    others = sorted((r for r in members if id(r) not in known), key=lambda r: (r.method, r.head, r.task, r.seed))
    rows = []
    for r in others[:MOST_APART]:
        cells = [tasks_cell({r.task: [r]}, tasks, "retest", marks=False) for tasks in columns]
        rows.append((f"{r.method}, {r.head} s{r.seed}, {r.task}{reference_mark([r])}", "excluded", *cells))
    left = len(others) - MOST_APART
    return rows + ([(f"and {left} more (--cells)", "excluded", *[""] * len(columns))] if left > 0 else [])


def mark(records: Sequence[Record]) -> str:
    """What a number of random weights, or of a random teacher's, is never without. (Hashed text is in the label.)"""
    if any(record.weights.get("untrained") for record in records):
        return " untrained"
    taught = [record.weights.get("pretraining", {}) for record in records]
    return " random teacher" if any(facts.get("untrained_teacher") for facts in taught) else ""


def _number(record: Record, number: str) -> Tally:
    return {"best*": record.best, "retest": record.retest.tally, "last": record.last}[number]


def _pool(tallies: list[Tally]) -> Tally:
    return Tally(sum(t.k for t in tallies), sum(t.n for t in tallies), sum(t.errors for t in tallies))
