"""What CLAR's tables share: which records are in one, its rows, what is bold, and the notes below.

Each row of the paper is printed, followed by what was measured for it; then methods of one's own, then what was set
apart. A table adds its columns, its lines for a method and what only it has to say.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmark.records.read import BadRecord
from benchmark.records.record import Evaluation, Record
from benchmark.records.shifted_retests import read_shifts
from benchmark.report.comparisons.comparable import comparable, row_labels, row_name, unequal
from benchmark.report.tables.best_note import best_note
from benchmark.report.tables.bold import Runs, bold_cells, bold_notes
from benchmark.report.tables.mean_cells import interval_notes
from benchmark.report.tables.measured_cells import MISSING, apart_rows
from benchmark.report.tables.table import Table

Line = tuple[str, ...]
Shifts = Mapping[str, Evaluation]


@dataclass(frozen=True)
class Members:
    """The records of one method and head in a table, by task, and what was retested beside them (`read_shifts`)."""

    records: dict[str, list[Record]] = field(default_factory=dict)
    shifts: dict[int, Shifts] = field(default_factory=dict)

    def add(self, record: Record, shifts: Shifts) -> None:
        self.records.setdefault(record.task, []).append(record)
        self.shifts[id(record)] = shifts

    @property
    def sorting(self) -> tuple[str, str]:
        first = next(iter(self.records.values()))[0]
        return first.method, first.head

    def retested(self, shift: str | None = None) -> Runs:
        """Each record with its retest, or with the one under `shift`, None where it was not played."""
        return {
            task: [(r, r.retest if shift is None else self.shifts[id(r)].get(shift)) for r in records]
            for task, records in self.records.items()
        }


@dataclass(frozen=True)
class Chosen:
    """members: the records that were asked for. kept: those of them that may stand in one table. apart: what was left
    out and why. rows: row of the table -> label -> those of `kept`, in the order of methods and heads."""

    members: list[Record]
    kept: list[Record]
    apart: list[str]
    rows: dict[str, dict[str, Members]]

    def beside(self, other: Chosen) -> Chosen:
        """Both as one, for a table whose columns come from two suites. No task is in both."""
        rows = {row: dict(found) for row, found in self.rows.items()}
        for row, labels in other.rows.items():
            for label, found in labels.items():
                known = rows.setdefault(row, {}).get(label, Members())
                rows[row][label] = Members({**known.records, **found.records}, {**known.shifts, **found.shifts})
        members, kept = self.members + other.members, self.kept + other.kept
        return Chosen(members, kept, self.apart + other.apart, rows)

    def by_label(self) -> dict[str, Members]:
        return {label: found for labels in self.rows.values() for label, found in labels.items()}


def choose(
    members: Sequence[Record],
    row_of: Callable[[Record], str | None] = row_name,
    paths: Mapping[int, Path] | None = None,
    changed: Callable[[Record], Collection[str]] = lambda _: (),
) -> Chosen:
    """row_of: None for a record that is in no row. paths: of records by `id`, where shifts are to be read. changed: as
    `comparable` takes it."""
    kept, apart = comparable(members, changed)
    labels, rows = row_labels(kept), dict[str, dict[str, Members]]()
    for record in kept:
        row = row_of(record)
        if row is None:
            continue
        shifts: Shifts = {}
        if paths is not None:
            try:
                shifts = read_shifts(paths[id(record)], record)
            except BadRecord as error:
                apart.append(str(error))
        rows.setdefault(row, {}).setdefault(labels[record.method, record.head], Members()).add(record, shifts)
    ordered = {row: dict(sorted(found.items(), key=lambda item: item[1].sorting)) for row, found in rows.items()}
    return Chosen(list(members), kept, apart, ordered)


@dataclass(frozen=True)
class Body:
    rows: tuple[Line, ...]
    rules: frozenset[int]

    @property
    def partial(self) -> bool:
        """Whether a mean is over some of its tasks."""
        return any("†" in cell for row in self.rows for cell in row)


def lay_out(
    chosen: Chosen,
    groups: Sequence[Sequence[str]],
    names: Sequence[str],
    printed: Callable[[str], Line],
    lines: Callable[[str, Members], list[Line]],
    missing: str = "retest",
) -> Body:
    """groups: the tasks of each column. names: rows of the paper. printed: such a row as it is printed. lines: those of
    a label. missing: the number that is named where a row has no records."""
    rows: list[Line] = []
    rules: set[int] = set()
    for name in [*names, *sorted(set(chosen.rows) - set(names))]:
        rules.add(len(rows))
        if name in names:
            rows.append(printed(name))
        for label, members in chosen.rows.get(name, {}).items():
            rows += lines(label, members)
        if name not in chosen.rows:
            rows.append(("", missing, *[MISSING] * len(groups)))
    rules.add(len(rows))
    rows += apart_rows(chosen.members, chosen.kept, groups)
    return Body(tuple(rows), frozenset(rules - {0}))


def shared_notes(
    chosen: Chosen,
    of_kind: Mapping[str, Mapping[str, Runs]],
    groups: Sequence[Sequence[str]],
    before_bold: Sequence[str] = (),
) -> list[str]:
    """What the numbers, the intervals and bold mean, and what is not equal for all. of_kind: kind of row whose cells
    may be bold -> label -> what its methods are compared by."""
    measured = [group for group in groups if group]
    bold = bold_notes(of_kind.values(), measured)
    return [best_note(chosen.kept), *interval_notes(chosen.kept), *before_bold, *bold, *unequal(chosen.kept)]


def table(
    title: str,
    columns: Sequence[str],
    body: Body,
    notes: Sequence[str],
    of_kind: Mapping[str, Mapping[str, Runs]],
    groups: Sequence[Sequence[str]],
) -> Table:
    return Table(
        title,
        ("method", "number", *columns),
        body.rows,
        tuple(notes),
        body.rules,
        text_columns=2,
        bold=bold_cells(body.rows, of_kind, groups),
    )
