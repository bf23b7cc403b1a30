"""Farthest-point sampling in one launch for CUDA, in Triton, which torch's builds for CUDA bring along.

The loop of `methods.pointops` is some ten launches a pick, and a GPU that samples 512 of 1,024 points waits for the
next launch most of the time. Here a program has a cloud in its registers and makes all picks. It rounds as the loop
does on a CPU whose addcmul_ is a fused multiply-add (x86 with AVX2), and of several points that are as far it picks the
first, so the picks are meant to be the loop's; `kernel_for` sees to it on a few clouds before it is used.
"""

from __future__ import annotations

import functools
import importlib.util
import warnings
from collections.abc import Callable

import torch
from torch import Tensor

LARGEST = 8192
"""Points in a cloud that a program's registers are asked to hold."""
Sample = Callable[[Tensor, int, Tensor | None], Tensor]


@functools.cache
def kernel_for(device: torch.device, loop: Sample) -> Sample | None:
    """`sample` for this GPU, after it has picked what `loop` picks on the CPU; None where it cannot be used, which is
    said if Triton is there."""
    if importlib.util.find_spec("triton") is None:
        return None
    clouds, count, start = trial()
    try:
        found = sample(clouds.to(device), count, start.to(device)).cpu()
        problem = "" if torch.equal(found, loop(clouds, count, start)) else "it picks other points than the plain loop"
    except Exception as error:  # a compiler or a driver that does not fit says so in its own ways
        problem = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
    if problem:
        warnings.warn(f"farthest points are sampled by the plain loop, which is slower ({problem})", stacklevel=3)
        return None
    return sample


def trial() -> tuple[Tensor, int, Tensor]:
    """Clouds (4, 300, 3), a count and starts (4,): two random, one on a grid, where many points are as far, and one
    with repeated points."""
    random = torch.rand(2, 300, 3, generator=torch.Generator().manual_seed(0))
    grid = torch.cartesian_prod(*[torch.arange(7.0)] * 3)[:300].unsqueeze(0)
    repeated = random[:1, :20].repeat(1, 15, 1)
    return torch.cat([random, grid, repeated]), 150, torch.tensor([0, 7, 150, 299])


def sample(points: Tensor, count: int, start: Tensor | None = None) -> Tensor:
    """As `methods.pointops.farthest_points`: (B, N, 3) float32 on a GPU to indices (B, count)."""
    from methods.farthest_points_triton import farthest

    batch, size, _ = points.shape
    points = points.contiguous()
    begin = torch.zeros(batch, dtype=torch.int64, device=points.device) if start is None else start.contiguous()
    chosen = torch.empty(batch, count, dtype=torch.int64, device=points.device)
    block = max(32, 1 << (size - 1).bit_length())
    with torch.cuda.device_of(points):  # Triton launches on the current device
        warps = min(16, max(1, block // 256))
        farthest[(batch,)](points, begin, chosen, size, count, BLOCK=block, num_warps=warps, enable_fp_fusion=False)
    return chosen
