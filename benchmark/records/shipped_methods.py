"""The cards of this project's own methods, as far as records are held against them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from baselines.facts import facts_of_card_named
from methods.facts import CardFacts

if TYPE_CHECKING:
    from benchmark.records.record import Record


def shipped_facts(name: str) -> CardFacts | None:
    """Of the method with this name on its card; None if it is not ours."""
    return facts_of_card_named(name)


def reported_as(record: Record) -> str | None:
    """The row of the papers' tables that a record reproduces, None for none: code that is not shipped has none.

    By the name of the shipped method: what the card in the record says is not asked, so no edit of it moves a number.
    """
    settled = record.identity.get("method", {})
    facts = shipped_facts(settled.get("name", "")) if "version" in settled else None
    return facts.reported_as if facts is not None else None
