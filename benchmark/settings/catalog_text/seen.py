"""What a method sees and where its weights are, in a few words."""

from __future__ import annotations

from pathlib import Path

from methods.card import WeightFile
from methods.facts import CardFacts
from methods.weight_places import locate

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


def sees(observes: tuple[str, ...], representation: bool = False) -> str:
    """representation: of a policy that stands over a method."""
    words = [SEEN.get(field, field) for field in observes if not field.endswith("_valid")]
    return ", ".join([*words, *(["a method"] if representation else [])]) or "nothing"


def seen_by(facts: CardFacts) -> str:
    """Of what it sees, not of what it remembers."""
    return sees(tuple(field for field in facts.observes if field != "past_actions"), facts.representation)


def weights_here(facts: CardFacts, folder: Path) -> str:
    """One of `WEIGHTS`."""
    if not facts.weights:
        return NO_WEIGHTS
    files = [
        WeightFile(name, "" if public else None, "", "" if not known else name) for name, public, known in facts.weights
    ]
    if all(locate(facts.name, file, folder).is_file() for file in files):
        return HERE
    return TO_FETCH if all(public for _, public, _ in facts.weights) else OWN
