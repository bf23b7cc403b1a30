"""A finished pre-training back as a model, with all its parts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmark.pretrain.objectives import open_objective
from benchmark.records.pretraining_card import card_inside, config_of, is_policys
from methods.errors import BadWeights
from methods.objective import Objective, ObjectiveModel
from methods.weights import read_tensors


def load_pretraining(path: Path) -> tuple[ObjectiveModel, dict[str, Any]]:
    """What `bench pretrain` left, in evaluation mode, and its card. Raises `BadWeights` for any other file."""
    card = card_inside(path)
    if card is None:
        raise BadWeights(f"{path} is no checkpoint of `bench pretrain`, or a damaged one: it carries no card")
    if is_policys(card):
        raise BadWeights(f"{path} is a policy that was pre-trained, and this takes an encoder")
    return objective_of(card).load(read_tensors(path), str(path)).eval(), card


def objective_of(card: dict[str, Any]) -> Objective:
    """The objective that a checkpoint's card names, with its settings."""
    return open_objective(card["method"], config_of(card))
