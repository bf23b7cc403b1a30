"""Which row of the papers' tables a record reproduces, by this project's own methods."""

from __future__ import annotations

from typing import TYPE_CHECKING

from baselines.facts import shipped_facts

if TYPE_CHECKING:
    from benchmark.records.record import Record


def reported_as(record: Record) -> str | None:
    """The row of the papers' tables that a record reproduces, None for none: code that is not shipped has none.

    By the name of the shipped method: what the card in the record says is not asked, so no edit of it moves a number.
    """
    settled = record.identity.get("method", {})
    facts = shipped_facts(settled.get("name", "")) if "version" in settled else None
    return facts.reported_as if facts is not None else None
