"""The facts of every shipped method and policy, those of `methods` among them, for whoever must not import torch.

`facts.json` is made from the cards by `python -m baselines.facts`; a test holds it against them.
"""

from __future__ import annotations

import dataclasses
import functools
import json
from pathlib import Path
from typing import Any

from baselines.hub.names import hub_facts
from methods.facts import CardFacts, facts_of

FILE = Path(__file__).with_name("facts.json")


def facts_named(name: str) -> CardFacts | None:
    """Of what a run calls by this name, which may be another name of the card's; None of what is not shipped."""
    return _by_name().get(name)


def shipped_facts(name: str) -> CardFacts | None:
    """Of the card with this name; None if it is not ours. Of a hub's models, which no file could name, the family's."""
    return _by_card().get(name) or hub_facts(name)


def as_json() -> str:
    """The file's content, from the cards, which takes torch."""
    from baselines import BASELINES, POLICIES
    from methods import registry

    registry.add(BASELINES | POLICIES)
    shipped = [name for name in sorted(registry.table()) if registry.is_shipped(name)]
    found = {name: dataclasses.asdict(facts_of(registry.class_of(name).card)) for name in shipped}
    return json.dumps(found, indent=1) + "\n"


@functools.cache
def _by_name() -> dict[str, CardFacts]:
    found: dict[str, dict[str, Any]] = json.loads(FILE.read_text())
    return {name: CardFacts(**{field: _frozen(value) for field, value in one.items()}) for name, one in found.items()}


@functools.cache
def _by_card() -> dict[str, CardFacts]:
    return {facts.name: facts for facts in _by_name().values()}


def _frozen(value: Any) -> Any:
    return tuple(_frozen(one) for one in value) if isinstance(value, list) else value


if __name__ == "__main__":
    FILE.write_text(as_json())
