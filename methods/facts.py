"""What the cards of shipped methods say, for those who read records: a card itself is imported with torch.

A test compares these with the cards (`tests/methods/test_registry.py`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class CardFacts:
    """As on the card. reported_as: the method's row in the papers' tables, None if they have none.

    changes: what is otherwise under an option, as (option, value, field, what it is then).
    """

    version: int
    batch: str
    training: str
    observes: tuple[str, ...]
    reported_as: str | None = None
    changes: tuple[tuple[str, str, str, Any], ...] = ()

    def under(self, options: Mapping[str, Any]) -> CardFacts:
        new = {field: then for option, value, field, then in self.changes if options.get(option) == value}
        return dataclasses.replace(self, **new) if new else self


UNFROZEN = (("frozen", "false", "training", "end-to-end"),)
SHIPPED: dict[str, CardFacts] = {
    "clamp": CardFacts(1, "3d", "frozen", ("views", "views_valid", "past_actions"), changes=UNFROZEN),
    "clamp-small": CardFacts(1, "3d", "frozen", ("views", "views_valid", "past_actions"), changes=UNFROZEN),
    "clar": CardFacts(1, "3d", "end-to-end", ("points", "points_valid"), "CLAR"),
    "clar-small": CardFacts(1, "3d", "end-to-end", ("points", "points_valid")),
    "proprio-only": CardFacts(1, "3d", "frozen", ()),
    "random-features": CardFacts(1, "3d", "frozen", ("points", "points_valid")),
    "state": CardFacts(1, "3d", "frozen", ("ground_truth",)),
}
"""By the card's name; a method of several names has one card."""
