"""A source of pre-training frames as typed data."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from benchmark.errors import ConfigError
from envs.spec import SpecMismatch, read_crop

KINDS = ("metaworld", "rlbench", "calibrated", "rh20t")


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
    crop: tuple[float, ...] = ()
    base: tuple[float, ...] = ()
    yaw: float = 0.0

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
        if len(self.crop) not in (0, 6) or len(self.base) not in (0, 3):
            raise ConfigError(f"{self.name}: crop is [x, y, z, x, y, z], low before high; base is [x, y, z]")
        try:
            read_crop(self.crop or None)
        except SpecMismatch as error:
            raise ConfigError(f"{self.name}.crop: {error}") from error
        if self.kind != "metaworld" and not self.crop:
            raise ConfigError(f"{self.name} needs a crop: no simulator has one for it")
        if not self.weight > 0:
            raise ConfigError(f"{self.name}.weight must be positive; leave the name out of --data instead")

    def identity(self) -> dict[str, Any]:
        """What decides the frames; places on this machine are not part of it, nor what is at its default."""
        facts = {k: v for k, v in dataclasses.asdict(self).items() if k not in ("title", "root", "licence")}
        return {k: v for k, v in facts.items() if k not in ("crop", "base", "yaw") or v}
