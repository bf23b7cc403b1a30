"""What a pre-training is told: `conf/pretrain/METHOD.yaml` and its overrides, as typed data."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from benchmark.config import CONF, choices, settle
from benchmark.errors import ConfigError
from envs.registry import UnknownName


@dataclass(frozen=True)
class PretrainConfig:
    """See `benchmark/conf/pretrain/clar.yaml` for each value's source."""

    name: str
    source: str
    mae: bool
    contrast: bool
    local: bool
    weight_mae: float
    weight_image: float
    weight_text: float
    weight_local: float
    mask_low: float
    mask_high: float
    decoder_depth: int
    cd_scale: float
    form: str
    local_width: int
    local_heads: int
    local_points: int
    local_negatives: str
    augment: str
    epochs: int
    warmup_epochs: int
    batch_size: int
    accumulate: int
    learning_rate: float
    last_learning_rate: float
    weight_decay: float
    norm: str
    feature: str
    seed: int
    precision: str
    log_every: int

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "accumulate", "log_every", "decoder_depth"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1, not {getattr(self, name)}")
        if not 0 <= self.warmup_epochs < self.epochs:
            raise ConfigError(f"warmup_epochs={self.warmup_epochs} must be less than epochs={self.epochs}")
        if self.batch_size % self.accumulate:
            raise ConfigError(f"batch_size={self.batch_size} is no multiple of accumulate={self.accumulate}")
        if self.batch_size < 2:
            raise ConfigError("batch_size must be at least 2: BatchNorm and contrast compare samples with each other")
        if not 0 < self.last_learning_rate <= self.learning_rate:
            raise ConfigError("last_learning_rate must be positive and at most learning_rate")
        if self.precision not in ("fp32", "bf16"):
            raise ConfigError(f"precision={self.precision} is none of fp32, bf16")
        from methods.clar.representation import NORMS

        if self.norm not in NORMS:
            raise ConfigError(f"norm={self.norm} is none of {', '.join(NORMS)}")
        try:
            self.objective()
        except ValueError as error:
            raise ConfigError(str(error)) from error

    def objective(self) -> Any:
        """`methods.clar.pretraining.Objective`. Raises ValueError."""
        from methods.clar.pretraining import Objective

        return Objective(**{field.name: getattr(self, field.name) for field in dataclasses.fields(Objective)})

    @property
    def variant(self) -> str:
        """What is trained for, in words that a file name can hold."""
        if self.mae and self.contrast and self.local:
            return "full"
        off = [name for name in ("mae", "local", "contrast") if not getattr(self, name)]
        return "mae-only" if off == ["local", "contrast"] else "without-" + "-".join(off)

    def identity(self) -> dict[str, Any]:
        return {k: v for k, v in dataclasses.asdict(self).items() if k not in ("name", "source", "log_every")}


def load_pretrain(method: str, overrides: Sequence[str] = ()) -> PretrainConfig:
    """Raises `UnknownName` or `ConfigError`."""
    if method not in choices("pretrain"):
        raise UnknownName("method with a pre-training", method, choices("pretrain"))
    values: Any = OmegaConf.load(CONF / "pretrain" / f"{method}.yaml")
    for text in overrides:
        key, sign, _ = text.partition("=")
        if not sign:
            raise ConfigError(f"'{text}' is not of the form key=value (such as epochs=50)")
        if key not in values:
            raise UnknownName("setting", key, list(values))
    try:
        values = OmegaConf.merge(values, OmegaConf.from_dotlist(list(overrides)))
    except OmegaConfBaseException as error:
        raise ConfigError(f"cannot apply {' '.join(overrides)}: {str(error).splitlines()[0]}") from error
    plain: Any = OmegaConf.to_container(values, resolve=True)
    return settle(PretrainConfig, plain, "pretrain")
