"""CLAR's Table V from records: one row for each pre-training of the encoder."""

from __future__ import annotations

from collections.abc import Sequence

from benchmark.records.record import Record
from benchmark.report.tables.bold import groups_of
from benchmark.report.tables.measured_cells import PARTIAL, three_lines
from benchmark.report.tables.printed_numbers import reported
from benchmark.report.tables.skeleton import Line, Members, choose, lay_out, shared_notes, table
from benchmark.report.tables.table import Table
from benchmark.settings.ablation_variants import VARIANTS, Variant
from benchmark.settings.suite import Suite


def clar_table_5(records: Sequence[Record], suite: Suite, protocol: str, method: str) -> tuple[Table, list[str]]:
    """Printed means beside what was measured with `method` (`clar`, or `clar-small`), task by task.

    A record belongs to the row that its pre-training's card says, whatever its file was called; random weights are
    "w/o Pre.". Of two pre-trainings for one row (other data or teacher) each has lines of its own.
    """
    members = [r for r in records if r.suite == suite.name and r.protocol == protocol and r.card["name"] == method]
    chosen = choose(members, _row_of)
    printed = {number.method: number.value for number in reported("clar", "Table V")}
    groups = groups_of(suite.task_names)

    def as_printed(row: str) -> Line:
        return (row, "reported", *["–"] * len(suite.task_names), f"{printed[row]:.0f}")

    def measured(label: str, found: Members) -> list[Line]:
        return three_lines(label, found.records, groups, [False] * len(groups))

    body = lay_out(chosen, groups, [variant.row for variant in VARIANTS], as_printed, measured)
    of_kind = {"retest": {label: found.retested() for label, found in chosen.by_label().items()}}
    notes = ["Table V prints means over the four tasks only."]
    if method != "clar":
        notes.append(f"measured with {method}, which is not the paper's size.")
    if any(r.weights.get("pretraining", {}).get("untrained_teacher") for r in chosen.kept):
        notes.append("random-teacher: contrast and alignment with a teacher that knows nothing; not Table V's row.")
    notes += [PARTIAL] if body.partial else []
    notes += [*shared_notes(chosen, of_kind, groups), *chosen.apart]
    title = f"CLAR Table V, success in %, protocol {protocol}, encoder {method}"
    return table(title, (*suite.task_names, "mean (4)"), body, notes, of_kind, groups), chosen.apart


def _row_of(record: Record) -> str | None:
    variant = variant_of(record)
    return None if variant is None else variant.row


def variant_of(record: Record) -> Variant | None:
    """Table V's row of a record; None for weights that are not from `bench pretrain`."""
    name = "none" if record.weights.get("untrained") else record.weights.get("pretraining", {}).get("variant")
    return next((variant for variant in VARIANTS if variant.name == name), None)
