"""What a pre-training leaves: tensors that `--weights` takes, and a card that says how they came about."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from benchmark.report.plots import plot_pretraining
from benchmark.system.files import explain, write_atomically, write_json
from methods.objective import ObjectiveModel
from methods.weights import sha256


def write_checkpoint(path: Path, model: ObjectiveModel, card: dict[str, Any]) -> dict[str, Any]:
    """`path` with the model's parts (`methods.objective.ObjectiveModel.parts`); its card and curves beside it.

    The card is also inside, as text. Returned with the file's sha256 and size; it is written last, so that what has a
    card is whole.
    """
    parts = {"card": json.dumps(card, sort_keys=True), **model.parts()}
    write_atomically(path, lambda file: torch.save(parts, file))
    card = {**card, "file": path.name, "sha256": sha256(path), "bytes": path.stat().st_size}
    plot_pretraining(card, list(model.weights), path.parent / "curves.png")
    write_json(path.parent / "card.json", card)
    return card


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
