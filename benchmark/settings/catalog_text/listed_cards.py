"""What `bench list` says of a method: part of its card, kept in a file, because reading a card imports torch.

`listed_cards.json` is made from the cards; a test holds it against them (REGENERATE_GOLDEN=1 writes it). What
records need to know of a method without torch is in `methods.facts`.
"""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from methods.card import MethodCard, WeightFile
from methods.policy_card import PolicyCard
from methods.weight_places import locate

FILE = Path(__file__).with_name("listed_cards.json")

SEEN = {
    "rgb": "RGB",
    "depth": "depth",
    "points": "point cloud",
    "point_colors": "its colours",
    "views": "virtual views",
    "past_actions": "past actions",
    "ground_truth": "state",
    "proprio": "proprioception",
    "instruction": "instruction",
    "intrinsics": "cameras' lenses",
    "extrinsics": "cameras' places",
}
"""Fields of an observation in a person's words; of the others, `*_valid`, nothing is said."""
NO_WEIGHTS, HERE, TO_FETCH, OWN = "–", "here", "to fetch", "your own"
WEIGHTS = {
    NO_WEIGHTS: "none are needed",
    HERE: "in {folder}",
    TO_FETCH: "`bench weights NAME --fetch`",
    OWN: "nobody has published any: `--weights FILE`, or `--weights random` for an untrained one",
}


@dataclass(frozen=True)
class ListedCard:
    """name: as on the card; another name of the same method leads to it, too. weights: file name, whether somebody
    publishes it, and whether its sha256 is published."""

    name: str
    title: str
    observes: tuple[str, ...]
    representation: bool
    weights: tuple[tuple[str, bool, bool], ...]

    def sees(self) -> str:
        """In a few words: of what it sees, not of what it remembers."""
        return sees(tuple(field for field in self.observes if field != "past_actions"), self.representation)

    def weights_here(self, folder: Path) -> str:
        """One of `WEIGHTS`."""
        if not self.weights:
            return NO_WEIGHTS
        files = [
            WeightFile(name, "" if public else None, "", "" if not known else name)
            for name, public, known in self.weights
        ]
        if all(locate(self.name, file, folder).is_file() for file in files):
            return HERE
        return TO_FETCH if all(public for _, public, _ in self.weights) else OWN


def sees(observes: tuple[str, ...], representation: bool = False) -> str:
    """representation: of a policy that stands over a method."""
    words = [SEEN.get(field, field) for field in observes if not field.endswith("_valid")]
    return ", ".join([*words, *(["a method"] if representation else [])]) or "nothing"


def listed_card(name: str) -> ListedCard | None:
    """None for a method that is not this project's: its card is read by `bench show`."""
    found = _all().get(name)
    if found is None:
        return None
    weights = tuple((file, public, known) for file, public, known in found["weights"])
    return ListedCard(**{**found, "observes": tuple(found["observes"]), "weights": weights})


def of_card(card: MethodCard) -> dict[str, Any]:
    """Plain data, as in the file."""
    return {
        "name": card.name,
        "title": card.title,
        "observes": list(card.observes),
        "representation": isinstance(card, PolicyCard) and card.representation,
        "weights": [[file.filename, file.url is not None, file.sha256 is not None] for file in card.weights],
    }


@functools.cache
def _all() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = json.loads(FILE.read_text())
    return found
