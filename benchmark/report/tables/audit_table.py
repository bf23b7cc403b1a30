"""What each number rests on, as a table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from benchmark.records.verdict import REPLAYED, Part, Verdict
from benchmark.report.tables.short_labels import said_below, short_labels
from benchmark.report.tables.table import Table

MEANINGS = (
    "replayed: the kept actions, or the checkpoint, were played again just now with the outcomes of the record; the "
    "settings by the first epoch of training, and a checkpoint that sends the retest's actions.",
    "chained: written down while the cell ran, in a chain of hashes that ends in the record; who makes up the whole "
    "chain is found only by a replay.",
    "declared: the record says so.",
)

OTHERS = 5
"""The column of shifts and of what was played on."""


def audit_table(verdicts: Sequence[Verdict]) -> Table:
    short = short_labels(verdict.cell.partition("/")[0] for verdict in verdicts if verdict.parts)
    rows = [_row(verdict, short) for verdict in verdicts]
    columns = ["cell", "verdict", "retest", "best*", "last", "others", "settings"]
    if all(row[OTHERS] == "-" for row in rows):
        columns.pop(OTHERS)
        rows = [row[:OTHERS] + row[OTHERS + 1 :] for row in rows]
    counted = Counter(verdict.word for verdict in verdicts)
    total = ", ".join(f"{count} {word}" for word, count in sorted(counted.items()))
    used = " ".join(cell for row in rows for cell in row)
    notes = [text for text in MEANINGS if text.partition(":")[0] in used] + said_below(short)
    return Table(f"Audit: {total}", tuple(columns), tuple(rows), tuple(notes), text_columns=len(columns))


def _row(verdict: Verdict, short: dict[str, str]) -> tuple[str, ...]:
    protocol, slash, rest_of_cell = verdict.cell.partition("/")
    cell = f"{short.get(protocol, protocol)}{slash}{rest_of_cell}"
    by_name = {part.name: part for part in verdict.parts}
    named = [_said(by_name.pop(name, None)) for name in ("retest", "best*", "last")]
    others = list(by_name.values())
    numbers = [part for part in others if not part.nothing]
    episodes, replayed = sum(p.episodes for p in numbers), sum(p.replayed for p in numbers)
    rest = f"{REPLAYED} {replayed}/{episodes}" if replayed else _said(others[0]) if others else "-"
    return (cell, verdict.word, *named, rest, verdict.settings.partition(" ")[0] if verdict.parts else "-")


def _said(part: Part | None) -> str:
    if part is None:
        return "-"
    errors = f", {part.errors} could not be run" if part.errors and not part.nothing else ""
    return part.rests_on + errors
