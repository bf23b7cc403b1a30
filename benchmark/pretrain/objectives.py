"""The objective of a method's pre-training, and the frames it needs."""

from __future__ import annotations

from collections.abc import Sequence

from benchmark.encoders.specs import encoder_specs
from benchmark.pretrain.data.frames import PICTURE, VIEWS, Frames
from benchmark.settings.pretraining import PretrainConfig
from benchmark.system.errors import ConfigError
from methods.objective import Objective
from methods.registry import method_class


def open_objective(method: str, config: PretrainConfig) -> Objective:
    """Raises `ConfigError` if the settings are not of this method."""
    kind = method_class(method).under(config.encoder_options())
    return config.objective(kind, encoder_specs(kind.card))


def needs_pictures(fields: Sequence[str]) -> bool:
    """Whether sources must give what cameras saw; without it they give clouds alone."""
    return bool(set(fields) & set(PICTURE))


def needs_triplets(fields: Sequence[str]) -> bool:
    """Whether sources must give virtual views with past actions and objects in place of clouds."""
    return bool(set(fields) & set(VIEWS))


def check_fields(frames: Frames, fields: Sequence[str]) -> None:
    """Raises `ConfigError` for a source without a field that the objective reads."""
    for shard in frames.shards:
        if missing := [name for name in fields if name not in shard.fields]:
            raise ConfigError(
                f"frames of {shard.source} ({shard.task}) have no {', '.join(missing)}, which this pre-training needs; "
                f"they have {', '.join(sorted(shard.fields))}"
            )
