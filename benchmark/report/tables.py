"""Tables from records: what was run, cell by cell, and CLAR's Table I.

Three numbers, always: best* is the paper's (the maximum over evaluations, which over-states), retest the selected
checkpoint on fresh seeds (the headline, with the interval of its rollouts), last the last checkpoint.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmark.labels import base_of
from benchmark.protocol import Suite
from benchmark.report.best import bold_notes, not_below_best, retests
from benchmark.report.conditions import comparable, reference_mark, row_labels, row_name, unequal
from benchmark.report.inference.one_seed import ONE_SEED
from benchmark.report.record import Record, Tally
from benchmark.report.reported import errata, reported
from benchmark.report.stats import mean, wilson
from benchmark.report.table import Table
from benchmark.report.table_intervals import interval_notes, rates_interval

MISSING = "missing"
MOST_APART = 12
LONG = 24
"""Characters from which a protocol's name stands below a table of cells, not in every row."""

COLUMNS = ("easy", "medium", "hard", "mean", "rlbench")
BEST_NOTE = (
    "best*: maximum over evaluations, the papers' number; it over-states (by 13 to 17 points for true rates of 50 to "
    "80 % with 15 evaluations of 25). retest: the selected checkpoint on fresh seeds. last: the last checkpoint."
)


def cells_table(records: Sequence[Record], title: str = "Cells") -> Table:
    """One row a cell."""
    rows = []
    ordered = sorted(records, key=lambda r: (r.suite, r.protocol, r.task, r.method, r.head, r.seed))
    long = list(dict.fromkeys(r.protocol for r in ordered if len(r.protocol) > LONG))
    short = {label: f"{base_of(label)}+ ({number})" for number, label in enumerate(long, start=1)}
    for r in ordered:
        rows.append((
            r.task, r.method + reference_mark([r]), f"{r.head} s{r.seed}", short.get(r.protocol, r.protocol),
            _count(r.best) + mark([r]), _count_interval(r.retest.tally) + mark([r]),
            _count(r.last) + mark([r]), str(r.errors),
            f"{r.training['optimizer_steps']:,}",
        ))  # fmt: skip
    rules = {i for i in range(1, len(ordered)) if ordered[i].task != ordered[i - 1].task}
    columns = ("task", "method", "head", "protocol", "best*", "retest", "last", "errors", "steps")
    notes = [BEST_NOTE, f"[low, high]: 95 % interval of one cell's rollouts; {ONE_SEED}."]
    if any(r.errors for r in records):
        notes.append("errors: episodes that could not be run; they count neither as success nor as failure.")
    notes += [f"{mark}: protocol {label}." for label, mark in short.items()]
    return Table(title, columns, tuple(rows), tuple(notes), frozenset(rules), text_columns=4)


@dataclass(frozen=True)
class _Row:
    """All records of one method under one head and one condition, task by task."""

    label: str
    by_task: dict[str, list[Record]]


def clar_table_1(records: Sequence[Record], suite: Suite, protocol: str) -> tuple[Table, list[str]]:
    """CLAR Table I from whatever records are there, and messages about records that were set apart.

    Records that were made under other conditions (success rule, demonstrations, observation, precision, protocol
    numbers) than most of a table's are named and left out, never averaged in.
    """
    asked = [r for r in records if r.suite == suite.name and r.protocol == protocol]
    kept, apart = comparable(asked)
    printed = {(n.method, n.column): n.value for n in reported("clar", "Table I")}
    paper_methods = list(dict.fromkeys(method for method, _ in printed))
    rows_by_name: dict[str, list[_Row]] = defaultdict(list)
    grouped: dict[tuple[str, str], list[Record]] = defaultdict(list)
    for record in kept:
        grouped[record.method, record.head].append(record)
    labels = row_labels(kept)
    for key, members in sorted(grouped.items()):
        by_task: dict[str, list[Record]] = defaultdict(list)
        for record in members:
            by_task[record.task].append(record)
        rows_by_name[row_name(members[0])].append(_Row(labels[key], dict(by_task)))

    marks, notes = _errata_notes()
    named = {row.label: retests(row.by_task) for members in rows_by_name.values() for row in members}
    best = [set() if c == "rlbench" else not_below_best(named, _tasks_of(suite, c)) for c in COLUMNS]
    bold: set[tuple[int, int]] = set()
    rows: list[tuple[str, ...]] = []
    rules: set[int] = set()
    partial = False
    for name in [*paper_methods, *sorted(set(rows_by_name) - set(paper_methods))]:
        rules.add(len(rows))
        if name in paper_methods:
            label = name + marks.get((name, ""), "")
            cells = [
                f"{printed[name, c]:.1f}{marks.get((name, c), '')}" if (name, c) in printed else "–" for c in COLUMNS
            ]
            rows.append((label, "printed", *cells))
        for row in rows_by_name.get(name, []):
            for number in ("best*", "retest", "last"):
                cells = [_group_cell(row, suite, column, number) for column in COLUMNS]
                partial |= any("†" in cell for cell in cells)
                if number == "retest":
                    bold |= {(len(rows), 2 + i) for i, names in enumerate(best) if row.label in names}
                rows.append((row.label, number, *cells))
        if not rows_by_name.get(name):
            rows.append(("", "retest", *[MISSING] * len(COLUMNS)))
    rules.add(len(rows))
    rows += apart_rows(asked, kept, [[] if c == "rlbench" else _tasks_of(suite, c) for c in COLUMNS])
    if partial:
        notes.append("† mean over the tasks measured so far (tasks/all); not comparable with the printed mean.")
    columns_of = [_tasks_of(suite, c) for c in COLUMNS if c != "rlbench"]
    notes += [BEST_NOTE, *interval_notes(kept), *bold_notes([named], columns_of), *unequal(kept)]
    if any(r.errors for r in kept):
        bad = sorted({f"{r.task}/{r.method} ({r.errors})" for r in kept if r.errors})
        notes.append(f"episodes that could not be run, counted neither way: {', '.join(bad)}.")
    notes += apart
    columns = ("method", "number", "easy (5)", "medium (5)", "hard (5)", "mean (15)", "RLBench (4)")
    title = f"CLAR Table I, success in %, protocol {protocol}"
    return Table(title, columns, tuple(rows), tuple(notes), frozenset(rules - {0}), text_columns=2,
                 bold=frozenset(bold)), apart  # fmt: skip


def _group_cell(row: _Row, suite: Suite, column: str, number: str) -> str:
    if column == "rlbench":
        return MISSING
    return tasks_cell(row.by_task, _tasks_of(suite, column), number)


def _tasks_of(suite: Suite, column: str) -> list[str]:
    return list(suite.task_names) if column == "mean" else list(suite.tasks[column])


def tasks_cell(by_task: Mapping[str, list[Record]], tasks: Sequence[str], number: str, marks: bool = True) -> str:
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


def apart_rows(
    members: Sequence[Record], kept: Sequence[Record], columns: Sequence[Sequence[str]]
) -> list[tuple[str, ...]]:
    """A line for each record that `comparable` set apart, its retest in the columns of its task; never averaged."""
    known = {id(record) for record in kept}
    others = sorted((r for r in members if id(r) not in known), key=lambda r: (r.method, r.head, r.task, r.seed))
    rows = []
    for r in others[:MOST_APART]:
        cells = [tasks_cell({r.task: [r]}, tasks, "retest", marks=False) for tasks in columns]
        rows.append((f"{r.method}, {r.head} s{r.seed}, {r.task}{reference_mark([r])}", "apart", *cells))
    left = len(others) - MOST_APART
    return rows + ([(f"and {left} more (--cells)", "apart", *[""] * len(columns))] if left > 0 else [])


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


def _errata_notes() -> tuple[dict[tuple[str, str], str], list[str]]:
    """Footnote marks by (method, column) and the footnotes."""
    marks: dict[tuple[str, str], str] = {}
    notes = []
    for number, erratum in enumerate(errata("clar", "Table I"), start=1):
        if erratum.method:
            key = erratum.method, erratum.column
            marks[key] = marks.get(key, "") + f" ({number})"
        notes.append(f"({number}) {erratum.text}.")
    return marks, notes


def _count(tally: Tally) -> str:
    return f"{tally.k}/{tally.n}"


def _count_interval(tally: Tally) -> str:
    low, high = wilson(tally.k, tally.n)
    rate = f"{100 * tally.rate:.0f} %" if tally.n else "no rollouts"
    return f"{tally.k}/{tally.n} = {rate} [{100 * low:.0f}, {100 * high:.0f}]"
