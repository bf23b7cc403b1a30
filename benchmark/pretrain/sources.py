"""Pre-training data by name: `conf/data/NAME.yaml` to frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from benchmark.config import CONF, choices, settle
from benchmark.errors import ConfigError
from benchmark.pretrain.frames import Frames, Shard
from envs.registry import UnknownName


@dataclass(frozen=True)
class DataConfig:
    """See `benchmark/conf/data/*.yaml`."""

    name: str
    title: str
    kind: str
    licence: str
    tasks: tuple[str, ...]
    cameras: tuple[str, ...]
    cloud: str
    demos: int
    held_out: int
    stride: int
    horizon: int
    min_success_steps: int
    max_expert_failures: int
    num_points: int
    height: int
    width: int
    render: str
    weight: float
    root: str

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ConfigError(f"{self.name}.kind={self.kind} is none of {', '.join(KINDS)}")
        if self.cloud not in ("each", "fused"):
            raise ConfigError(f"{self.name}.cloud={self.cloud} is none of each, fused")
        if not self.tasks or not self.cameras:
            raise ConfigError(f"{self.name} needs at least one task and one camera")
        if min(self.demos, self.stride, self.horizon, self.num_points) < 1 or not 0 <= self.held_out < self.demos:
            raise ConfigError(
                f"{self.name}: demos, stride, horizon and num_points are at least 1, and held_out is less than demos"
            )
        if not self.weight > 0:
            raise ConfigError(f"{self.name}.weight must be positive; leave the name out of --data instead")


def load_data(name: str, overrides: Sequence[str] = ()) -> DataConfig:
    """A source with its overrides, `NAME.FIELD=VALUE`. Raises `UnknownName` or `ConfigError`."""
    if name not in choices("data"):
        raise UnknownName("data", name, choices("data"))
    values: Any = OmegaConf.load(CONF / "data" / f"{name}.yaml")
    own = [text.removeprefix(f"{name}.") for text in overrides if text.startswith(f"{name}.")]
    try:
        values = OmegaConf.merge(values, OmegaConf.from_dotlist(own))
    except OmegaConfBaseException as error:
        raise ConfigError(f"cannot apply {' '.join(own)} to {name}: {str(error).splitlines()[0]}") from error
    plain: Any = OmegaConf.to_container(values, resolve=True)
    return settle(DataConfig, plain, name)


def open_frames(configs: Sequence[DataConfig], root: Path, pictures: bool, workers: int) -> Frames:
    """The frames of all sources, prepared where they are not there. pictures: also what a teacher needs."""
    shards: list[Shard] = []
    for config in configs:
        shards += _open(config, root, pictures, workers)
    return Frames(tuple(shards), {config.name: config.weight for config in configs})


def _open(config: DataConfig, root: Path, pictures: bool, workers: int) -> list[Shard]:
    from benchmark.pretrain import metaworld

    return {"metaworld": metaworld.open_shards}[config.kind](config, root, pictures, workers)


KINDS = ("metaworld",)
