"""How a run is computed: device, processes, precision."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Literal

from benchmark.settings.bounds import Range, check_bounds, one_of
from benchmark.system.errors import ConfigError

LOGS = ("none", "tensorboard", "wandb")


@dataclass(frozen=True)
class Runtime:
    """How it is computed. `precision` alone changes a number."""

    device: str
    precision: str
    workers: Annotated[int, Range(1, 1_024)] | Literal["auto"]
    threads: Annotated[int, Range(1, 1_024)] | Literal["auto"]
    worker_timeout: Annotated[float, Range(0, 86_400, above_low=True)]
    weights_dir: str | None = None
    keep_actions: str = "retest"
    """Whose actions are kept beside the record: the `retest`'s, or of `all` evaluations too."""
    resident_gb: Annotated[float, Range(0, 1_000_000)] = 2.0
    """10^9 bytes of training data that are held in the device's memory; what goes beyond is read from its files."""
    keep_frame_mb: Annotated[float, Range(0, 1_000_000)] = 1.0
    """10^6 bytes of a frame's observations up to which a frozen encoder's are kept on the disk; larger ones are encoded
    while they are rendered, and only the features are kept."""
    log: str = "none"
    """Where curves go while a cell is computed, beside its record: one of `LOGS`."""

    def __post_init__(self) -> None:
        check_bounds(self, "runtime")
        one_of("runtime.precision", self.precision, ("fp32", "bf16"))
        one_of("runtime.keep_actions", self.keep_actions, ("retest", "all"))
        one_of("runtime.log", self.log, LOGS)
        check_device(self.device)


def check_device(device: str) -> None:
    """Raises `ConfigError` for what is no device, whether or not this machine has it."""
    if not re.fullmatch(r"auto|cpu|cuda(:[0-9]{1,3})?", device, re.ASCII):
        raise ConfigError(f"--device {device} is none of auto, cpu, cuda, and cuda:0, cuda:1 and so on")
