"""CLAR's Table III: one policy for several tasks, with the instruction as an input."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmark.records.record import Record
from benchmark.report.tables.bold import groups_of
from benchmark.report.tables.measured_cells import PARTIAL, three_lines
from benchmark.report.tables.printed_numbers import errata, reported
from benchmark.report.tables.shift_cells import drop_cell, rates_cell
from benchmark.report.tables.skeleton import Line, Members, choose, lay_out, shared_notes, table
from benchmark.report.tables.table import Table
from benchmark.settings.instructions import HELD_OUT, PREFIX, SHUFFLED
from benchmark.settings.suite import Suite


def clar_table_3(records: Sequence[tuple[Path, Record]], suite: Suite, protocol: str) -> tuple[Table, list[str]]:
    """records: task by task (`by_task`). What was left out comes beside the table."""
    members = [r for _, r in records if r.suite == suite.name and r.protocol == protocol]
    chosen = choose(members, paths={id(record): path for path, record in records})
    printed = {(n.method, n.column): n.value for n in reported("clar", "Table III")}
    groups = groups_of(suite.task_names)

    def as_printed(name: str) -> Line:
        return (name, "reported", *[f"{printed[name, c]:g}" for c in (*suite.task_names, "mean")])

    body = lay_out(
        chosen,
        groups,
        list(dict.fromkeys(method for method, _ in printed)),
        as_printed,
        lambda label, found: _lines(label, found, groups),
    )
    told = {"retest": None, f"retest {HELD_OUT}": PREFIX + HELD_OUT}
    of_kind = {n: {k: v.retested(kind) for k, v in chosen.by_label().items()} for n, kind in told.items()}
    own = [f"({number}) {erratum.text}." for number, erratum in enumerate(errata("clar", "Table III"), start=1)]
    own += [
        "One policy for all tasks; one checkpoint is selected, by the mean over tasks. held-out: the same episodes, "
        "with paraphrases that were never trained on. shuffled: with an instruction of another task.",
        "drop: retest minus the same episodes with the other instructions, in points, episode by episode. A "
        "policy whose success does not drop with another task's instruction ignores instructions.",
    ]
    partial = [PARTIAL] if body.partial else []
    if any(r.weights.get("text", {}).get("encoder") == "hash" for r in chosen.kept):
        partial.append("+text=hash: words hashed to features in place of CLIP's text tower; not the paper's setting.")
    notes = [*own, *shared_notes(chosen, of_kind, groups, partial), *chosen.apart]
    title = f"CLAR Table III, success in %, one policy for {len(suite.task_names)} tasks, protocol {protocol}"
    columns = (*suite.task_names, f"mean ({len(suite.task_names)})")
    return table(title, columns, body, notes, of_kind, groups), chosen.apart


def _lines(label: str, found: Members, groups: Sequence[Sequence[str]]) -> list[Line]:
    """The three numbers, then the same episodes with other instructions and what was lost."""
    lines = three_lines(label, found.records, groups, [*[False] * (len(groups) - 1), True])
    for kind in (HELD_OUT, SHUFFLED):
        beside = found.retested(PREFIX + kind)
        lines.append((label, f"retest {kind}", *[rates_cell(beside, tasks) for tasks in groups]))
        lines.append((label, f"drop {kind}", *[drop_cell(beside, tasks) for tasks in groups]))
    return lines
