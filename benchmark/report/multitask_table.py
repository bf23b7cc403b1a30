"""CLAR's Table III: one policy for several tasks, told by instructions which one to do."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmark.language import HELD_OUT, PREFIX, SHUFFLED
from benchmark.protocol import Suite
from benchmark.report.best import Runs, bold_cells, bold_notes, groups_of
from benchmark.report.conditions import comparable, row_labels, row_name, unequal
from benchmark.report.record import BadRecord, Evaluation, Record
from benchmark.report.reported import errata, reported
from benchmark.report.shift_cells import Beside, drop_cell, rates_cell
from benchmark.report.shifts import read_shifts
from benchmark.report.table import Table
from benchmark.report.table_intervals import interval_notes
from benchmark.report.tables import BEST_NOTE, MISSING, apart_rows, tasks_cell

Found = Mapping[str, list[tuple[Record, dict[str, Evaluation]]]]
"""Task -> records of one method and head, each with its retests under other instructions."""


def clar_table_3(records: Sequence[tuple[Path, Record]], suite: Suite, protocol: str) -> tuple[Table, list[str]]:
    """records: task by task (`by_task`). What was left out comes beside the table."""
    members = [r for _, r in records if r.suite == suite.name and r.protocol == protocol]
    kept, apart = comparable(members)
    rows_of: dict[str, dict[str, dict[str, list[tuple[Record, dict[str, Evaluation]]]]]] = {}
    labels, known = row_labels(kept), {id(record) for record in kept}
    for path, record in records:
        if id(record) not in known:
            continue
        try:
            shifts = read_shifts(path, record)
        except BadRecord as error:
            apart.append(str(error))
            shifts = {}
        methods = rows_of.setdefault(row_name(record), {})
        methods.setdefault(labels[record.method, record.head], defaultdict(list))[record.task].append((record, shifts))
    printed = {(n.method, n.column): n.value for n in reported("clar", "Table III")}
    names = list(dict.fromkeys(method for method, _ in printed))
    lines: list[tuple[str, ...]] = []
    rules: set[int] = set()
    for name in [*names, *sorted(set(rows_of) - set(names))]:
        rules.add(len(lines))
        if name in names:
            lines.append((name, "printed", *[f"{printed[name, c]:g}" for c in (*suite.task_names, "mean")]))
        for label, by_task in sorted(rows_of.get(name, {}).items()):
            lines += _lines(label, by_task, list(suite.task_names))
        if name not in rows_of:
            lines.append(("", "retest", *[MISSING] * (len(suite.task_names) + 1)))
    rules.add(len(lines))
    lines += apart_rows(members, kept, [*([task] for task in suite.task_names), suite.task_names])
    own = [f"({number}) {erratum.text}." for number, erratum in enumerate(errata("clar", "Table III"), start=1)]
    own += [
        "One policy for all tasks; one checkpoint is selected, by the mean over tasks. held-out: the same episodes, "
        "told in paraphrases that were never trained on. shuffled: told what another task was trained on.",
        "drop: retest minus the same episodes with the other instructions, in points, episode by episode. A "
        "policy whose success does not drop when it is told of another task does not listen.",
        BEST_NOTE,
        *interval_notes(kept),
    ]
    if any("†" in cell for line in lines for cell in line):
        own.append("† mean over the tasks measured so far (tasks/all); not comparable with the printed mean.")
    if any(r.weights.get("text", {}).get("encoder") == "hash" for r in kept):
        own.append("+text=hash: words hashed to features in place of CLIP's text tower; not the paper's setting.")
    title = f"CLAR Table III, success in %, one policy for {len(suite.task_names)} tasks, protocol {protocol}"
    found = {label: runs for methods in rows_of.values() for label, runs in methods.items()}
    told = {"retest": None, f"retest {HELD_OUT}": PREFIX + HELD_OUT}
    of_kind = {n: {k: _runs(v, kind) for k, v in found.items()} for n, kind in told.items()}
    bold = bold_cells(lines, of_kind, suite.task_names)
    own += [*bold_notes(of_kind.values(), groups_of(suite.task_names)), *unequal(kept)]
    columns = ("method", "number", *suite.task_names, f"mean ({len(suite.task_names)})")
    return Table(title, columns, tuple(lines), (*own, *apart), frozenset(rules - {0}), text_columns=2,
                 bold=bold), apart  # fmt: skip


def _runs(found: Found, shift: str | None) -> Runs:
    return {task: [(r, shifts.get(shift) if shift else r.retest) for r, shifts in m] for task, m in found.items()}


def _lines(label: str, found: Found, tasks: list[str]) -> list[tuple[str, ...]]:
    by_task = {task: [record for record, _ in members] for task, members in found.items()}
    lines = [
        (label, number, *[tasks_cell(by_task, [task], number, marks=False) for task in tasks],
         tasks_cell(by_task, tasks, number))
        for number in ("best*", "retest", "last")
    ]  # fmt: skip
    for kind in (HELD_OUT, SHUFFLED):
        beside: Beside = {
            task: [(record, shifts.get(PREFIX + kind)) for record, shifts in members] for task, members in found.items()
        }
        lines.append((label, f"retest {kind}", *[rates_cell(beside, [t]) for t in tasks], rates_cell(beside, tasks)))
        lines.append((label, f"drop {kind}", *[drop_cell(beside, [t]) for t in tasks], drop_cell(beside, tasks)))
    return lines
