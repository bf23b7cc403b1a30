"""The files of a finished pre-training: weights with a card inside, and the card beside them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmark.system.files import explain, write_atomically, write_json
from benchmark.system.progress import say
from methods.weights import sha256


def write_weights(path: Path, parts: Mapping[str, Any], card: dict[str, Any]) -> dict[str, Any]:
    """Tensors by name, nested, and the card as text; the card is returned with the file's name, sha256 and size."""
    import torch

    whole = {"card": json.dumps(card, sort_keys=True), **parts}
    write_atomically(path, lambda file: torch.save(whole, file))
    return {**card, "file": path.name, "sha256": sha256(path), "bytes": path.stat().st_size}


def write_card(path: Path, card: dict[str, Any]) -> None:
    """Beside the weights in `path`, as the last file: what has a card is whole."""
    write_json(path.parent / "card.json", card)


def read_card(folder: Path) -> dict[str, Any] | None:
    """The card of a finished pre-training whose weights are there and are what the card says, else None."""
    card, damage = check_card(folder)
    return None if damage else card


def check_card(folder: Path) -> tuple[dict[str, Any] | None, str]:
    """The card of a pre-training whose weights are there, if there is one; and what is damaged, in words, or ""."""
    path = folder / "card.json"
    try:
        card = json.loads(path.read_text())
        file = folder / Path(card["file"]).name
        if not file.is_file():
            return None, ""
        said = (card["bytes"], card["sha256"], card["identity_hash"])
    except FileNotFoundError:
        return None, ""
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None, f"{path} is damaged"
    whole = said[:2] == (file.stat().st_size, sha256(file))
    return card, "" if whole else f"{file} is damaged (its bytes are not those that {path.name} names)"


def set_aside(folder: Path, card: dict[str, Any] | None) -> None:
    """Damaged weights under a name that nothing loads. Without a card nobody knows that they are: they stay."""
    if card is not None:
        weights = folder / Path(card["file"]).name
        with explain(weights):
            weights.replace(weights.with_name(f"{weights.name}.damaged"))


def withdraw(folder: Path, identity_hash: str) -> None:
    """Take back the card of a pre-training of these settings whose weights are gone or damaged: what has a card counts
    as trained. The weights and the card stay, under names that nothing loads."""
    card, damage = check_card(folder)
    if damage:
        say(f"{damage}: trained again")
    if card is not None and card["identity_hash"] != identity_hash:
        return  # another's, which a pre-training refuses
    if damage:
        set_aside(folder, card)
    path = folder / "card.json"
    if path.exists() and read_card(folder) is None:
        with explain(path):
            path.replace(path.with_name("card.json.damaged"))
