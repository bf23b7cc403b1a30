"""CLAR's Table II: four tasks of RLBench, and the same table for the port of them, which is another simulator."""

from __future__ import annotations

from collections.abc import Sequence

from benchmark.records.record import Record
from benchmark.report.tables.bold import groups_of
from benchmark.report.tables.measured_cells import PARTIAL, three_lines
from benchmark.report.tables.printed_numbers import errata, reported
from benchmark.report.tables.skeleton import Line, choose, lay_out, shared_notes, table
from benchmark.report.tables.table import Table
from benchmark.settings.suite import Suite

RLBENCH = "rlbench-4"
"""The suite whose numbers may stand beside the printed ones."""
RLBENCH_TASKS = ("close-box", "close-laptop-lid", "toilet-seat-down", "water-plants")
NOT_RLBENCH = (
    "another simulator than the paper's, with a robot and objects of its own: no reported number stands beside these, "
    "and none of them stands in a column of RLBench's."
)


def clar_table_2(records: Sequence[Record], suite: Suite, protocol: str) -> tuple[Table, list[str]]:
    """Printed beside measured for RLBench itself; for any other simulator of these tasks what was measured alone. What
    was left out comes beside the table."""
    chosen = choose([r for r in records if r.suite == suite.name and r.protocol == protocol])
    real = suite.name == RLBENCH
    printed = {(n.method, n.column): n.value for n in reported("clar", "Table II")} if real else {}
    groups = groups_of(suite.task_names)

    def as_printed(name: str) -> Line:
        return (name, "reported", *[f"{printed[name, c]:g}" for c in (*suite.task_names, "mean")])

    body = lay_out(
        chosen,
        groups,
        list(dict.fromkeys(method for method, _ in printed)),
        as_printed,
        lambda label, found: three_lines(label, found.records, groups, [*[False] * (len(groups) - 1), True]),
    )
    of_kind = {"retest": {label: found.retested() for label, found in chosen.by_label().items()}}
    own = [f"({number}) {erratum.text}." for number, erratum in enumerate(errata("clar", "Table II"), start=1) if real]
    own += [] if real else [NOT_RLBENCH]
    own += [PARTIAL] if body.partial else []
    notes = [*own, *shared_notes(chosen, of_kind, groups), *failures(chosen.kept), *chosen.apart]
    title = f"CLAR Table II, success in %, protocol {protocol}"
    if not real:
        title = f"The tasks of CLAR Table II in {suite.name}, success in %, protocol {protocol}"
    columns = (*suite.task_names, f"mean ({len(suite.task_names)})")
    return table(title, columns, body, notes, of_kind, groups), chosen.apart


def failures(records: Sequence[Record]) -> list[str]:
    """Footnotes: episodes that could not be run, and those that an action ended."""
    notes = []
    if any(r.errors for r in records):
        bad = sorted({f"{r.task}/{r.method} ({r.errors})" for r in records if r.errors})
        notes.append(f"episodes that could not be run, counted as neither success nor failure: {', '.join(bad)}.")
    if any(r.failed_actions for r in records):
        ended = sorted({f"{r.task}/{r.method} ({r.failed_actions})" for r in records if r.failed_actions})
        notes.append(f"failures that ended by an action which the simulator could not carry out: {', '.join(ended)}.")
    return notes
