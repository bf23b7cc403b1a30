"""What a pre-training is told: `conf/pretrain/METHOD.yaml` and its overrides, as typed data.

What every pre-training has is here; each objective adds its own settings in a subclass, which `OBJECTIVES` names.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from omegaconf import OmegaConf

from benchmark.settings.bounds import Count, Factor, Range, Rate, check_bounds
from benchmark.settings.load import CONF, settle
from benchmark.settings.overrides import merged
from benchmark.settings.seeds import LARGEST_SEED
from benchmark.system.errors import ConfigError
from envs.identity import named_by
from envs.registry import UnknownName
from envs.view_layouts import FIVE

if TYPE_CHECKING:
    from envs.spec import FieldSpec
    from methods.base import Representation
    from methods.objective import Objective

OBJECTIVES = {
    "clar": "benchmark.settings.clar_pretraining:ClarPretrainConfig",
    "clar-small": "benchmark.settings.clar_pretraining:ClarPretrainConfig",
    "clamp": "benchmark.settings.clamp_pretraining:ClampPretrainConfig",
    "clamp-small": "benchmark.settings.clamp_pretraining:ClampPretrainConfig",
}
"""Method -> where the class of its pre-training's settings is, which knows its objective. Nothing is imported before it
is asked for."""


@dataclass(frozen=True)
class PretrainConfig:
    """Settings of the loop. See `benchmark/conf/pretrain/clar.yaml` for each value's source.

    parts: settings that `--without` switches off. teachers: names that `--teacher` takes, the first one by default.
    """

    parts: ClassVar[tuple[str, ...]] = ()
    teachers: ClassVar[tuple[str, ...]] = ()

    name: str
    source: str
    epochs: Count
    warmup_epochs: Annotated[int, Range(0, 1_000_000)]
    batch_size: Annotated[int, Range(2, 65_536)]
    """BatchNorm and contrast compare samples with each other."""
    accumulate: Annotated[int, Range(1, 65_536)]
    learning_rate: Rate
    last_learning_rate: Rate
    weight_decay: Factor
    seed: Annotated[int, Range(0, LARGEST_SEED)]
    precision: str
    log_every: Count

    def __post_init__(self) -> None:
        check_bounds(self, "pretrain")
        if not 0 <= self.warmup_epochs < self.epochs:
            raise ConfigError(f"warmup_epochs={self.warmup_epochs} must be less than epochs={self.epochs}")
        if self.batch_size % self.accumulate:
            raise ConfigError(f"batch_size={self.batch_size} is no multiple of accumulate={self.accumulate}")
        if not 0 < self.last_learning_rate <= self.learning_rate:
            raise ConfigError("last_learning_rate must be positive and at most learning_rate")
        if self.precision not in ("fp32", "bf16"):
            raise ConfigError(f"precision={self.precision} is none of fp32, bf16")

    def objective(self, kind: type[Representation], specs: Mapping[str, FieldSpec]) -> Objective:
        """With these settings, for a method's class and the fields that it is given. Raises `ConfigError`."""
        raise NotImplementedError

    def encoder_options(self) -> dict[str, str]:
        """Options of the method that its checkpoint is loaded with; those at their default left out."""
        return {}

    @property
    def view_layout(self) -> str:
        """Of the virtual views that every source gives."""
        return FIVE

    def epoch(self, steps_of_a_pass: int) -> int:
        """Steps of what is called an epoch: by default those of one pass over the frames."""
        return steps_of_a_pass

    @property
    def taught(self) -> bool:
        """Whether a teacher is needed."""
        return bool(self.teachers)

    @property
    def variant(self) -> str:
        """What is trained for, in words that a file name can hold."""
        return "full"

    @property
    def format(self) -> int:
        """Raised where settings of the same names mean something else than before."""
        return 1

    @classmethod
    def defaults(cls, method: str) -> dict[str, Any]:
        """Every setting with its default."""
        values: Any = OmegaConf.to_container(OmegaConf.load(CONF / "pretrain" / f"{method}.yaml"))
        return values

    def identity(self) -> dict[str, Any]:
        return {k: v for k, v in named_by(self).items() if k not in ("name", "source", "log_every")}


def config_class(method: str) -> type[PretrainConfig]:
    """The settings of a method's pre-training. Raises `UnknownName` for a method without one."""
    if method not in OBJECTIVES:
        raise UnknownName("method with a pre-training", method, OBJECTIVES)
    module, _, name = OBJECTIVES[method].partition(":")
    found: type[PretrainConfig] = getattr(importlib.import_module(module), name)
    return found


def load_pretrain(method: str, overrides: Sequence[str] = ()) -> PretrainConfig:
    """Raises `UnknownName` or `ConfigError`."""
    kind = config_class(method)
    values: Any = OmegaConf.create(kind.defaults(method))
    for text in overrides:
        key, sign, _ = text.partition("=")
        if not sign:
            raise ConfigError(f"'{text}' is not of the form key=value (such as epochs=50)")
        if key not in values:
            raise UnknownName("setting", key, list(values))
    plain: Any = merged(values, overrides, "pretrain")
    return settle(kind, plain, "pretrain")
