"""The card inside a checkpoint of `bench pretrain`: what a record says of the pre-training its weights come from.

An encoder's, or a whole policy's (`kind: policy`), which has the settings of a cell in the place of an objective's.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.settings.load import settle
from benchmark.settings.pretraining import PretrainConfig, config_class
from envs.aloha.options import control_in
from envs.files import why_no_file
from envs.registry import UnknownName
from methods.errors import BadWeights

POLICY = "policy"
"""The kind of a pre-trained policy's card, and what stands in the place of an objective's variant."""


def is_policys(card: Mapping[str, Any]) -> bool:
    return card.get("kind") == POLICY


def control_of(card: Mapping[str, Any]) -> str | None:
    """What the actions say that it was trained on (`envs.aloha.control`); None where none of them are ALOHA's."""
    if is_policys(card):
        env = card["identity"].get("cell", {}).get("env", {})
        return control_in(str(env.get("version", ""))) if env.get("name") == "aloha" else None
    said = [source.get("env_options", ()) for source in card["identity"].get("data", ()) if source["kind"] == "aloha"]
    return control_in(", ".join(said[0])) if said else None


def config_of(card: dict[str, Any]) -> PretrainConfig:
    """Raises `UnknownName` for a method without a pre-training, `ConfigError` for settings that it has not."""
    facts = {"name": card["method"], "source": "", "log_every": 1, **card["identity"]["config"]}
    return settle(config_class(card["method"]), facts, card["label"])


def facts_for_record(path: Path) -> dict[str, Any] | None:
    """What a record says of the pre-training its weights come from; None if they carry no card of ours."""
    card = card_inside(path)
    if card is None:
        return None
    return {
        "label": card["label"],
        "variant": POLICY if is_policys(card) else config_of(card).variant,
        "teacher": card["teacher"],
        "untrained_teacher": card["untrained_teacher"],
        "data": {name: d["frames"] for name, d in card["data"].items()},
        "data_hash": card["data_hash"],
        "steps": card["steps"],
        "epochs": card["epochs"],
        "commit": card["provenance"]["git"]["commit"],
    }


@dataclass(frozen=True)
class Source:
    """Where demonstrations of a pre-training are from: its data by name, or a suite. env: the suite's simulator."""

    name: str
    env: str | None = None


def seen_tasks(path: Path) -> dict[str, list[Source]]:
    """Task -> sources of its demonstrations that weights were pre-trained on; {} without a card."""
    card = card_inside(path)
    found: dict[str, list[Source]] = {}
    for source, facts in card["data"].items() if card else ():
        for task in facts["tasks"]:
            found.setdefault(task, []).append(Source(source, facts.get("env")))
    return found


KINDS: dict[str, type | tuple[type, ...]] = {
    "method": str,
    "label": str,
    "identity": dict,
    "data": dict,
    "data_hash": str,
    "teacher": str,
    "untrained_teacher": bool,
    "steps": int,
    "epochs": int,
    "provenance": dict,
}


def card_inside(path: Path) -> dict[str, Any] | None:
    """The card in a checkpoint of ours; None for other files. Raises FileNotFoundError, or `BadWeights` for a card that
    is damaged.
    """
    import torch

    if why := why_no_file(path):
        raise FileNotFoundError(f"{path} {why}; `bench pretrain` leaves OUT/pretrain/METHOD/NAME/NAME.pt")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        text = content["card"]
    except Exception:  # `read_tensors` says what is wrong with a file that is damaged
        return None
    try:
        card = json.loads(text)
        wrong = [name for name, kind in KINDS.items() if not isinstance(card[name], kind)]
        if not is_policys(card):
            config_of(card)
            _ = card["identity"]["teacher"]
        _ = [(source["frames"], list(source["tasks"])) for source in card["data"].values()]
        if not all(isinstance(source.get("env", ""), str) for source in card["data"].values()):
            raise TypeError("env is no text")
        _ = card["provenance"]["git"]["commit"]
    except UnknownName as error:
        raise BadWeights(f"{path} is said to be of {card['method']}, which has no pre-training here") from error
    except (LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
        why = f"{type(error).__name__}: {error}".splitlines()[0]
        raise BadWeights(f"{path} carries a damaged card ({why})") from error
    if wrong:
        raise BadWeights(f"{path} carries a damaged card ({', '.join(wrong)})")
    return dict(card)
