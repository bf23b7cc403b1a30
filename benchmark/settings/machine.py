"""What this machine gives a run: device, simulator processes, threads."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from benchmark.settings.runtime import Runtime
from benchmark.system.errors import ConfigError
from benchmark.system.gpu import use_repeatable_kernels


def resolve_device(runtime: Runtime) -> torch.device:
    """Raises `ConfigError` for a GPU that is not here. A GPU gets this project's switches (`benchmark.system.gpu`)."""
    there = torch.cuda.is_available()
    device = torch.device(runtime.device if runtime.device != "auto" else "cuda" if there else "cpu")
    if device.type != "cuda":
        return device
    if not there:
        raise ConfigError(f"--device {runtime.device}: torch sees no CUDA device; `bench doctor` says why")
    if device.index is not None and device.index >= (count := torch.cuda.device_count()):
        raise ConfigError(f"--device {runtime.device}: torch sees {count}, from cuda:0 on; `bench doctor` names them")
    use_repeatable_kernels()
    return device


def usable_cores() -> int:
    """Cores that this process may use: a scheduler's share of a node, not the node."""
    share = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(share, int(os.environ.get("SLURM_CPUS_PER_TASK") or share))


def resolve_workers(runtime: Runtime) -> int:
    """Simulator processes: the cores, rounded up to the multiple of 4 that batches are padded to anyway."""
    return int(runtime.workers) if runtime.workers != "auto" else min(32, -(-usable_cores() // 4) * 4)


@contextmanager
def torch_threads(count: int | None) -> Iterator[None]:
    """While simulators keep the cores busy, a second torch thread only waits for its turn."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
