"""What a card says, as far as records and lists ask it without torch: a method's own module is imported with torch."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from methods.card import MethodCard
from methods.policy_card import PolicyCard

BY_OPTION = ("training", "observes", "batch")
"""Fields that an option may change and that are asked here."""


@dataclass(frozen=True)
class CardFacts:
    """As on the card. reported_as: the method's row in the papers' tables, None if they have none.

    changes: what is otherwise under an option, as (option, value, field, what it is then).
    representation: of a policy, whether it stands over a method. weights: of each file its name, whether somebody
    publishes it, and whether its sha256 is published.
    """

    name: str
    title: str
    version: int
    batch: str
    training: str
    observes: tuple[str, ...]
    reported_as: str | None = None
    changes: tuple[tuple[str, str, str, Any], ...] = ()
    representation: bool = False
    weights: tuple[tuple[str, bool, bool], ...] = ()

    def under(self, options: Mapping[str, Any]) -> CardFacts:
        new = {field: then for option, value, field, then in self.changes if options.get(option) == value}
        return dataclasses.replace(self, **new) if new else self


def facts_of(card: MethodCard) -> CardFacts:
    return CardFacts(
        card.name,
        card.title,
        card.version,
        card.batch,
        card.training,
        card.observes,
        card.reported_as,
        tuple(
            (option.name, value, field, then)
            for option in card.options
            for value, field, then in option.changes
            if field in BY_OPTION
        ),
        isinstance(card, PolicyCard) and card.representation,
        tuple((file.filename, file.url is not None, file.sha256 is not None) for file in card.weights),
    )
