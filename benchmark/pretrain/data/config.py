"""A source of pre-training frames as typed data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from benchmark.settings.bounds import Count, Range, Rate, check_bounds
from benchmark.system.errors import ConfigError
from envs.crop import read_crop
from envs.errors import SpecMismatch
from envs.identity import later, named_by
from envs.names import safe_name
from envs.view_layouts import FIVE, LAYOUTS
from envs.views import LARGEST_SPLAT

SIMULATORS = ("metaworld", "aloha")
"""Kinds whose demonstrations are collected and drawn here, as those of a simulator of one's own, `FILE.py:Class`."""
KINDS = (*SIMULATORS, "rlbench", "calibrated", "rh20t")


@dataclass(frozen=True)
class DataConfig:
    """See `benchmark/conf/data/*.yaml`.

    suite: whose demonstrations they are, by which their seeds are drawn. stop_after_success: steps that a demonstration
    goes on after its first with success, None: to the horizon. env_options: KEY=VALUE of the simulator's own options,
    said as `env.NAME.KEY=VALUE`. layout: of virtual views; the pre-training's own setting, and no source's.
    """

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
    suite: str = later("pretraining")
    stop_after_success: Annotated[int, Range(0, 100_000)] | None = later(None)
    splat: Annotated[int, Range(1, LARGEST_SPLAT)] = later(1)
    env_options: tuple[str, ...] = later(())
    layout: str = later(FIVE)

    def __post_init__(self) -> None:
        check_bounds(self, str(self.name))
        safe_name("data.name:", self.name)
        for task in self.tasks:
            safe_name(f"{self.name}.tasks:", task)
        safe_name(f"{self.name}.suite:", self.suite)
        if not self.simulated and self.kind not in KINDS:
            raise ConfigError(f"{self.name}.kind={self.kind} is none of {', '.join(KINDS)}, and no FILE.py:CLASS")
        if self.layout not in LAYOUTS:
            raise ConfigError(f"{self.name}.layout={self.layout} is none of {', '.join(LAYOUTS)}")
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
        if self.stop_after_success is not None and self.min_success_steps > self.stop_after_success + 1:
            raise ConfigError(
                f"{self.name}.min_success_steps={self.min_success_steps} steps with success are not to be had where a "
                f"demonstration ends {self.stop_after_success} after the first (stop_after_success)"
            )
        if self.splat % 2 == 0:
            raise ConfigError(f"{self.name}.splat={self.splat} must be odd: a point lies in the middle of its square")
        if not self.simulated and not self.crop:
            raise ConfigError(f"{self.name} needs a crop: no simulator has one for it")

    @property
    def simulated(self) -> bool:
        """Whether its demonstrations are those of a simulator's expert, drawn from their states."""
        return self.kind in SIMULATORS or ".py:" in self.kind

    def identity(self) -> dict[str, Any]:
        """What decides the frames; places on this machine are not part of it, nor what is at its default."""
        facts = {k: v for k, v in named_by(self).items() if k not in ("title", "root", "licence")}
        last = {text.partition("=")[0]: text for text in self.env_options}  # in which order they are said is nothing
        if said := [last[key] for key in sorted(last) if key != "root"]:
            facts["env_options"] = said
        else:
            facts.pop("env_options", None)
        return {k: v for k, v in facts.items() if k not in ("crop", "base", "yaw") or v}
