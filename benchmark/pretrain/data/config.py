"""A source of pre-training frames as typed data."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Annotated, Any

from benchmark.settings.bounds import Count, Range, Rate, check_bounds
from benchmark.system.errors import ConfigError
from envs.names import safe_name
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
    demos: Annotated[int, Range(1, 1_000_000)]
    held_out: Annotated[int, Range(0, 1_000_000)]
    stride: Count
    horizon: Annotated[int, Range(1, 100_000)]
    min_success_steps: Annotated[int, Range(0, 100_000)]
    max_expert_failures: Annotated[int, Range(0, 1_000_000)]
    num_points: Annotated[int, Range(1, 1_000_000)]
    height: Annotated[int, Range(1, 4_096)]
    width: Annotated[int, Range(1, 4_096)]
    render: str
    weight: Rate
    root: str
    crop: tuple[float, ...] = ()
    base: tuple[float, ...] = ()
    yaw: Annotated[float, Range(-360, 360)] = 0.0

    def __post_init__(self) -> None:
        check_bounds(self, str(self.name))
        safe_name("data.name:", self.name)
        for task in self.tasks:
            safe_name(f"{self.name}.tasks:", task)
        if self.kind not in KINDS:
            raise ConfigError(f"{self.name}.kind={self.kind} is none of {', '.join(KINDS)}")
        if self.cloud not in ("each", "fused"):
            raise ConfigError(f"{self.name}.cloud={self.cloud} is none of each, fused")
        if not self.tasks or not self.cameras:
            raise ConfigError(f"{self.name} needs at least one task and one camera")
        if self.held_out >= self.demos:
            raise ConfigError(f"{self.name}.held_out={self.held_out} must be less than {self.name}.demos={self.demos}")
        if self.min_success_steps > self.horizon:
            raise ConfigError(
                f"{self.name}.min_success_steps={self.min_success_steps} is more than its horizon={self.horizon}"
            )
        if len(self.crop) not in (0, 6) or len(self.base) not in (0, 3):
            raise ConfigError(f"{self.name}: crop is [x, y, z, x, y, z], low before high; base is [x, y, z]")
        try:
            read_crop(self.crop or None)
        except SpecMismatch as error:
            raise ConfigError(f"{self.name}.crop: {error}") from error
        if self.kind != "metaworld" and not self.crop:
            raise ConfigError(f"{self.name} needs a crop: no simulator has one for it")

    def identity(self) -> dict[str, Any]:
        """What decides the frames; places on this machine are not part of it, nor what is at its default."""
        facts = {k: v for k, v in dataclasses.asdict(self).items() if k not in ("title", "root", "licence")}
        return {k: v for k, v in facts.items() if k not in ("crop", "base", "yaw") or v}
