"""Several processes, one a GPU, as torchrun starts them: each takes its part of a batch, gradients are averaged.

Contrast sees the whole batch: features are gathered from all processes with their gradients. BatchNorm's statistics
stay each process's own, as is usual; the first process's are saved.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from benchmark.system.errors import ConfigError

PATIENCE = timedelta(hours=12)
"""How long processes wait for the first one, which prepares the frames. torch's own ten minutes are too few."""


def torchrun(processes: int, module: str, arguments: Sequence[str]) -> list[str]:
    """The command that runs `module` in so many processes of this machine."""
    own = ["--standalone", f"--nproc-per-node={processes}", "-m", module]
    return [sys.executable, "-m", "benchmark.pretrain.several_processes", *own, *arguments]


def under_torchrun() -> bool:
    return "RANK" in os.environ and "WORLD_SIZE" in os.environ


class Group:
    """rank of world processes; outside torchrun 0 of 1, and every method is cheap."""

    def __init__(self, rank: int = 0, world: int = 1) -> None:
        self.rank, self.world = rank, world

    @classmethod
    def join(cls, device: torch.device) -> Group:
        """From torchrun's environment. On CUDA the process takes the GPU of its local rank. Raises `ConfigError`."""
        if not under_torchrun() or int(os.environ["WORLD_SIZE"]) == 1:
            return cls()
        if device.type == "cuda":
            own = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
            if own.index >= (count := torch.cuda.device_count()):
                raise ConfigError(
                    f"--processes {os.environ['WORLD_SIZE']}: one a GPU, and this process sees {count}; give fewer, or "
                    "--device cpu"
                )
            torch.cuda.set_device(own)
            # with its device NCCL is set up now, not at the first exchange, and fails here if it cannot be
            dist.init_process_group("nccl", timeout=PATIENCE, device_id=own)
        else:
            dist.init_process_group("gloo", timeout=PATIENCE)
        return cls(dist.get_rank(), dist.get_world_size())

    def leave(self) -> None:
        if self.world > 1:
            dist.destroy_process_group()

    @property
    def first(self) -> bool:
        return self.rank == 0

    def gather(self, values: Tensor) -> Tensor:
        """(B, ...) of every process, in their order, (world * B, ...), with gradients where `values` has them."""
        if self.world == 1:
            return values
        return _Gathered.apply(values, self)

    def average_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """One sum over all processes. A parameter that got no gradient here counts as zero."""
        if self.world == 1:
            return
        trained = [p for p in parameters if p.requires_grad]
        for p in trained:
            if p.grad is None:
                p.grad = torch.zeros_like(p)
        flat = torch.cat([p.grad.flatten() for p in trained])  # type: ignore[union-attr]
        dist.all_reduce(flat)
        flat /= self.world
        first = 0
        for p in trained:
            p.grad.copy_(flat[first : first + p.numel()].view_as(p))  # type: ignore[union-attr]
            first += p.numel()

    def wait(self) -> None:
        if self.world > 1:
            dist.barrier()


class _Gathered(torch.autograd.Function):
    """What torch.distributed.nn.functional.all_gather did until torch announced its end.

    Each process's loss is of all gathered values, so the gradient of its own is the sum of what all say of them.
    """

    @staticmethod
    def forward(context: Any, values: Tensor, group: Group) -> Tensor:
        context.group, context.rows = group, len(values)
        parts = [torch.empty_like(values) for _ in range(group.world)]
        dist.all_gather(parts, values.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (gradient,) = gradients
        summed = gradient.contiguous().clone()
        dist.all_reduce(summed)
        first = context.group.rank * context.rows
        return summed[first : first + context.rows], None
