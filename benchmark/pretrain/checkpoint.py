"""What a pre-training leaves: tensors that `--weights` takes, and a card that says how they came about."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from benchmark.report.plots import plot_pretraining
from benchmark.storage import write_atomically, write_json
from methods.clar.pretraining import Pretraining
from methods.weights import sha256


def write_checkpoint(path: Path, model: Pretraining, card: dict[str, Any]) -> dict[str, Any]:
    """`path` with the encoder and (for `bench retrieval` and `attention`) the rest; its card and curves beside it.

    The card is also inside, as text. Returned with the file's sha256 and size; it is written last, so that what has a
    card is whole.
    """
    parts = {
        "card": json.dumps(card, sort_keys=True),
        "representation": model.representation.state_dict(),
        **({"decoder": model.decoder.state_dict()} if model.decoder is not None else {}),
        "loss": {
            **({"contrast": model.contrast.state_dict()} if model.contrast is not None else {}),
            **({"local": model.local.state_dict()} if model.local is not None else {}),
        },
    }
    write_atomically(path, lambda file: torch.save(parts, file))
    card = {**card, "file": path.name, "sha256": sha256(path), "bytes": path.stat().st_size}
    plot_pretraining(card, path.parent / "curves.png")
    write_json(path.parent / "card.json", card)
    return card


def read_card(folder: Path) -> dict[str, Any] | None:
    """The card of a finished pre-training whose weights are there, else None."""
    try:
        card = json.loads((folder / "card.json").read_text())
        return card if (folder / card["file"]).is_file() else None
    except (OSError, ValueError, KeyError, TypeError):
        return None
