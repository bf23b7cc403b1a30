"""CLAR's Table IV: success under another camera beside the one that was trained on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmark.records.record import Record
from benchmark.report.tables.bold import groups_of
from benchmark.report.tables.measured_cells import PARTIAL, mark, three_lines
from benchmark.report.tables.printed_numbers import errata, reported
from benchmark.report.tables.shift_cells import drop_cell, rates_cell
from benchmark.report.tables.skeleton import Line, Members, choose, lay_out, shared_notes, table
from benchmark.report.tables.table import Table
from benchmark.settings.suite import Suite

TRAINED, SHIFTED = "corner", "corner2"


def clar_table_4(records: Sequence[tuple[Path, Record]], suite: Suite, protocol: str) -> tuple[Table, list[str]]:
    """Printed "shifted (normal)" beside the retest under both cameras and the paired drop, and what was left out."""
    members = [r for _, r in records if r.suite == suite.name and r.protocol == protocol]
    chosen = choose(members, paths={id(record): path for path, record in records})
    printed = {(n.method, n.column): n.value for n in reported("clar", "Table IV")}
    wrong = {(e.method, e.column): e.text for e in errata("clar", "Table IV")}
    marks = {key: f" ({number})" for number, key in enumerate(wrong, start=1)}
    groups = groups_of(suite.task_names)

    def as_printed(name: str) -> Line:
        return (
            name,
            "reported",
            *[
                f"{printed[name, f'{c} shifted']:g} ({printed[name, c]:g}){marks.get((name, f'{c} shifted'), '')}"
                for c in (*suite.task_names, "mean")
            ],
        )

    body = lay_out(
        chosen,
        groups,
        list(dict.fromkeys(method for method, _ in printed)),
        as_printed,
        lambda label, found: _lines(label, found, groups),
        f"retest {SHIFTED}",
    )
    cameras = {f"retest {SHIFTED}": SHIFTED, f"retest {TRAINED}": None}
    of_kind = {n: {k: v.retested(camera) for k, v in chosen.by_label().items()} for n, camera in cameras.items()}
    own = [f"({number}) {text}." for number, text in enumerate(wrong.values(), start=1)]
    own += [
        "reported: under the shifted camera, and in brackets under the trained one. retest: the selected checkpoint on "
        "the same fresh episodes under either camera.",
        "drop: trained camera minus shifted one, in points, paired episode by episode.",
    ]
    partial = [PARTIAL] if body.partial else []
    notes = [*own, *shared_notes(chosen, of_kind, groups), *partial, *chosen.apart]
    title = f"CLAR Table IV, success in %, trained on {TRAINED} and tested on {SHIFTED}, protocol {protocol}"
    columns = (*suite.task_names, f"mean ({len(suite.task_names)})")
    return table(title, columns, body, notes, of_kind, groups), chosen.apart


def _lines(label: str, found: Members, groups: Sequence[Sequence[str]]) -> list[Line]:
    """Of one method: the three numbers under the trained camera, then the shifted one and what was lost."""
    shifted = found.retested(SHIFTED)
    note = mark([record for records in found.records.values() for record in records])
    lines = three_lines(label, found.records, groups, [*[False] * (len(groups) - 1), True], f" {TRAINED}")
    *each, mean = [rates_cell(shifted, tasks) for tasks in groups]
    lines.append((label, f"retest {SHIFTED}", *each, mean + note))
    lines.append((label, "drop", *[drop_cell(shifted, tasks) for tasks in groups]))
    return lines
