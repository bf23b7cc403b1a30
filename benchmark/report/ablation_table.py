"""CLAR's Table V from records: one row for each pre-training of the encoder."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from benchmark.pretrain.ablation import VARIANTS, Variant
from benchmark.protocol import Suite
from benchmark.report.best import bold_cells, bold_notes, groups_of, retests
from benchmark.report.conditions import comparable, row_labels, unequal
from benchmark.report.record import Record
from benchmark.report.reported import reported
from benchmark.report.table import Table
from benchmark.report.table_intervals import interval_notes
from benchmark.report.tables import BEST_NOTE, MISSING, apart_rows, tasks_cell


def clar_table_5(records: Sequence[Record], suite: Suite, protocol: str, method: str) -> tuple[Table, list[str]]:
    """Printed means beside what was measured with `method` (`clar`, or `clar-small`), task by task.

    A record belongs to the row that its pre-training's card says, whatever its file was called; random weights are
    "w/o Pre.". Of two pre-trainings for one row (other data or teacher) each has lines of its own.
    """
    members = [r for r in records if r.suite == suite.name and r.protocol == protocol and r.card["name"] == method]
    chosen, apart = comparable(members)
    by_row: dict[str, dict[str, dict[str, list[Record]]]] = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
    labels = row_labels(chosen)
    for record in chosen:
        variant = variant_of(record)
        if variant is not None:
            by_row[variant.row][labels[record.method, record.head]][record.task].append(record)
    printed = {number.method: number.value for number in reported("clar", "Table V")}
    rows: list[tuple[str, ...]] = []
    rules: set[int] = set()
    for variant in VARIANTS:
        rules.add(len(rows))
        rows.append((variant.row, "printed", *["–"] * len(suite.task_names), f"{printed[variant.row]:.0f}"))
        for label, by_task in sorted(by_row[variant.row].items()):
            for number in ("best*", "retest", "last"):
                cells = [tasks_cell(by_task, [task], number, marks=False) for task in suite.task_names]
                rows.append((label, number, *cells, tasks_cell(by_task, suite.task_names, number, marks=False)))
        if not by_row[variant.row]:
            rows.append(("", "retest", *[MISSING] * (len(suite.task_names) + 1)))
    rules.add(len(rows))
    rows += apart_rows(members, chosen, [*([task] for task in suite.task_names), suite.task_names])
    notes = ["Table V prints means over the four tasks only."]
    if method != "clar":
        notes.append(f"measured with {method}, which is not the paper's size.")
    if any(r.weights.get("pretraining", {}).get("untrained_teacher") for r in chosen):
        notes.append("random-teacher: contrast and alignment with a teacher that knows nothing; not Table V's row.")
    if any("†" in cell for row in rows for cell in row):
        notes.append("† mean over the tasks measured so far (tasks/all); not comparable with the printed mean.")
    methods = {label: retests(by_task) for found in by_row.values() for label, by_task in found.items()}
    bold = bold_cells(rows, {"retest": methods}, suite.task_names)
    notes += [BEST_NOTE, *interval_notes(chosen), *bold_notes([methods], groups_of(suite.task_names))]
    notes += [*unequal(chosen), *apart]
    columns = ("method", "number", *suite.task_names, "mean (4)")
    title = f"CLAR Table V, success in %, protocol {protocol}, encoder {method}"
    return Table(title, columns, tuple(rows), tuple(notes), frozenset(rules - {0}), text_columns=2,
                 bold=bold), apart  # fmt: skip


def variant_of(record: Record) -> Variant | None:
    """Table V's row of a record; None for weights that are not from `bench pretrain`."""
    name = "none" if record.weights.get("untrained") else record.weights.get("pretraining", {}).get("variant")
    return next((variant for variant in VARIANTS if variant.name == name), None)
