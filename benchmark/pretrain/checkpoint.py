"""What a pre-training leaves: tensors that `--weights` takes, and a card that says how they came about."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmark.records.pretraining_files import write_card, write_weights
from benchmark.report.plots import plot_pretraining
from methods.objective import ObjectiveModel


def write_checkpoint(path: Path, model: ObjectiveModel, card: dict[str, Any]) -> dict[str, Any]:
    """`path` with the model's parts (`methods.objective.ObjectiveModel.parts`); its card and curves beside it.

    The card is also inside, as text. Returned with the file's sha256 and size; it is written last, so that what has a
    card is whole.
    """
    card = write_weights(path, model.parts(), card)
    plot_pretraining(card, list(model.weights), path.parent / "curves.png")
    write_card(path, card)
    return card
