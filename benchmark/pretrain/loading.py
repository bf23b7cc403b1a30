"""A finished pre-training back as a model, with all its parts."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

from benchmark.config import settle
from benchmark.encoders import encoder_specs
from benchmark.pretrain.config import PretrainConfig
from methods.clar.pretraining import Pretraining
from methods.clar.representation import CLAR
from methods.errors import BadWeights
from methods.registry import method_class
from methods.weights import load_strictly, read_tensors


def load_pretraining(path: Path) -> tuple[Pretraining, dict[str, Any]]:
    """What `bench pretrain` left, in evaluation mode, and its card. Raises `BadWeights` for any other file."""
    card = card_inside(path)
    if card is None:
        raise BadWeights(f"{path} is no checkpoint of `bench pretrain`: it carries no card")
    kind = method_class(card["method"])
    assert issubclass(kind, CLAR)
    config = config_of(card)
    tensors = {name.removeprefix("loss."): tensor for name, tensor in read_tensors(path).items()}
    sizes = {
        "teacher_dim": tensors["contrast.project.weight"].shape[0] if config.contrast else 1,
        "map_dim": tensors["local.sampling.value.weight"].shape[1] if config.local else 1,
    }
    representation = kind(encoder_specs(kind.card), norm=config.norm, feature=config.feature)
    model = Pretraining(representation, config.objective(), **sizes)
    load_strictly(model, tensors, str(path))
    representation.preprocess.kept = True
    return model.eval(), card


def config_of(card: dict[str, Any]) -> PretrainConfig:
    facts = {"name": card["method"], "source": "", "log_every": 1, **card["identity"]["config"]}
    return settle(PretrainConfig, facts, card["label"])


def facts_for_record(path: Path) -> dict[str, Any] | None:
    """What a record says of the pre-training its weights come from; None if they carry no card of ours."""
    card = card_inside(path)
    if card is None:
        return None
    return {
        "label": card["label"], "variant": config_of(card).variant, "teacher": card["teacher"],
        "untrained_teacher": card["untrained_teacher"], "data": {name: d["frames"] for name, d in card["data"].items()},
        "data_hash": card["data_hash"], "steps": card["steps"], "epochs": card["epochs"],
        "commit": card["provenance"]["git"]["commit"],
    }  # fmt: skip


def seen_tasks(path: Path) -> dict[str, str]:
    """Task -> source of the demonstrations that weights were pre-trained on; {} without a card."""
    card = card_inside(path)
    return {task: source for source, d in card["data"].items() for task in d["tasks"]} if card else {}


def card_inside(path: Path) -> dict[str, Any] | None:
    """The card in a checkpoint of ours; None for other files. Raises FileNotFoundError."""
    import torch

    if not path.is_file():
        raise FileNotFoundError(f"no file {path}; `bench pretrain` leaves OUT/pretrain/METHOD/NAME/NAME.pt")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        return json.loads(content["card"])
    except (OSError, RuntimeError, pickle.UnpicklingError, LookupError, TypeError, ValueError):
        return None  # `read_tensors` says what is wrong with a file that is damaged
