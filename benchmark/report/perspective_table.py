"""CLAR's Table IV: success under another camera beside the one that was trained on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from benchmark.protocol import Suite
from benchmark.report.best import bold_cells, bold_notes, groups_of
from benchmark.report.conditions import comparable, row_labels, row_name, unequal
from benchmark.report.record import BadRecord, Evaluation, Record
from benchmark.report.reported import errata, reported
from benchmark.report.shift_cells import Beside, drop_cell, rates_cell
from benchmark.report.shifts import read_shifts
from benchmark.report.table import Table
from benchmark.report.table_intervals import interval_notes
from benchmark.report.tables import BEST_NOTE, MISSING, apart_rows, mark, tasks_cell

TRAINED, SHIFTED = "corner", "corner2"


def clar_table_4(records: Sequence[tuple[Path, Record]], suite: Suite, protocol: str) -> tuple[Table, list[str]]:
    """Printed "shifted (normal)" beside the retest under both cameras and the paired drop, and what was left out."""
    chosen = [r for _, r in records if r.suite == suite.name and r.protocol == protocol]
    kept, notes = comparable(chosen)
    cells: dict[str, dict[str, dict[str, list[tuple[Record, Evaluation | None]]]]] = {}
    damaged = []
    labels, known = row_labels(kept), {id(record) for record in kept}
    for path, record in records:
        if id(record) not in known:
            continue
        try:
            shifted = read_shifts(path, record).get(SHIFTED)
        except BadRecord as error:
            damaged.append(str(error))
            shifted = None
        rows = cells.setdefault(row_name(record), defaultdict(lambda: defaultdict(list)))
        rows[labels[record.method, record.head]][record.task].append((record, shifted))
    printed = {(n.method, n.column): n.value for n in reported("clar", "Table IV")}
    names = list(dict.fromkeys(method for method, _ in printed))
    wrong = {(e.method, e.column): e.text for e in errata("clar", "Table IV")}
    marks = {key: f" ({number})" for number, key in enumerate(wrong, start=1)}
    columns = [*suite.task_names, "mean"]
    lines: list[tuple[str, ...]] = []
    rules: set[int] = set()
    for name in [*names, *sorted(set(cells) - set(names))]:
        rules.add(len(lines))
        if name in names:
            lines.append((name, "printed", *[
                f"{printed[name, f'{c} shifted']:g} ({printed[name, c]:g}){marks.get((name, f'{c} shifted'), '')}"
                for c in columns
            ]))  # fmt: skip
        for label, by_task in sorted(cells.get(name, {}).items()):
            lines += _lines(label, by_task, list(suite.task_names))
        if name not in cells:
            lines.append(("", f"retest {SHIFTED}", *[MISSING] * len(columns)))
    rules.add(len(lines))
    lines += apart_rows(chosen, kept, [*([task] for task in suite.task_names), suite.task_names])
    partial = any("†" in cell for line in lines for cell in line)
    own = [f"({number}) {text}." for number, text in enumerate(wrong.values(), start=1)]
    own += [
        "printed: under the shifted camera, and in brackets under the trained one. retest: the selected checkpoint on "
        "the same fresh episodes under either camera.",
        "drop: trained camera minus shifted one, in points, paired episode by episode.",
        BEST_NOTE,
        *interval_notes(kept),
    ]
    runs = {label: by_task for methods in cells.values() for label, by_task in methods.items()}
    of_kind: dict[str, dict[str, Beside]] = {
        f"retest {SHIFTED}": dict(runs),
        f"retest {TRAINED}": {
            label: {task: [(r, r.retest) for r, _ in members] for task, members in by_task.items()}
            for label, by_task in runs.items()
        },
    }
    bold = bold_cells(lines, of_kind, suite.task_names)
    own += [*bold_notes(of_kind.values(), groups_of(suite.task_names)), *unequal(kept)]
    own += (
        ["† mean over the tasks measured so far (tasks/all); not comparable with the printed mean."] if partial else []
    )
    title = f"CLAR Table IV, success in %, trained on {TRAINED} and tested on {SHIFTED}, protocol {protocol}"
    table = Table(title, ("method", "number", *columns[:-1], f"mean ({len(columns) - 1})"), tuple(lines),
                  (*own, *notes, *damaged), frozenset(rules - {0}), text_columns=2,
                  bold=bold)  # fmt: skip
    return table, [*notes, *damaged]


def _lines(label: str, found: Beside, tasks: list[str]) -> list[tuple[str, ...]]:
    """Of one method: the three numbers under the trained camera, then the shifted one and what was lost."""
    by_task = {task: [record for record, _ in members] for task, members in found.items()}
    note = mark([record for members in by_task.values() for record in members])
    lines = [
        (label, f"{number} {TRAINED}", *[tasks_cell(by_task, [task], number, marks=False) for task in tasks],
         tasks_cell(by_task, tasks, number))
        for number in ("best*", "retest", "last")
    ]  # fmt: skip
    lines.append(
        (label, f"retest {SHIFTED}", *[rates_cell(found, [t]) for t in tasks], rates_cell(found, tasks) + note)
    )
    lines.append((label, "drop", *[drop_cell(found, [t]) for t in tasks], drop_cell(found, tasks)))
    return lines
