"""A table as data, and its forms."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Table:
    """Text cells under column names. `rules` are indices of rows that a rule is drawn above; notes go below."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()
    rules: frozenset[int] = frozenset()
    text_columns: int = 1
    """How many columns from the left are words; the others are right-aligned."""
    bold: frozenset[tuple[int, int]] = frozenset()
    """(row, column) of cells that stand out."""
    suite: str | None = None
    protocol: str | None = None
    departs: tuple[str, ...] = ()
    """What the protocol has otherwise than the paper's (`benchmark.report.tables.protocol_note`)."""
