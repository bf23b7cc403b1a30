"""Sampling and grouping of points in plain PyTorch: batched, on CPU and CUDA, the same answer every time. (On CUDA
farthest points have a kernel of their own, `methods.farthest_points_kernel`.)

Indices are int64 and count within each cloud. Distances are sums of squared coordinate differences, computed
plane by plane (the expansion |a|^2 - 2ab + |b|^2 loses the last digits, and with them who is inside a radius).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from methods.farthest_points_kernel import LARGEST, kernel_for


def squared_distances(a: Tensor, b: Tensor) -> Tensor:
    """(B, S, 3), (B, N, 3) to (B, S, N)."""
    total: Tensor | None = None
    for plane in range(a.shape[-1]):
        difference = a[..., plane].unsqueeze(-1) - b[..., plane].unsqueeze(-2)
        total = difference.square_() if total is None else total.addcmul_(difference, difference)
    assert total is not None
    return total


@torch.no_grad()
def farthest_points(points: Tensor, count: int, start: Tensor | None = None) -> Tensor:
    """Farthest-point sampling: (B, N, 3) to indices (B, count); the first is `start` (B,), or 0.

    Ties go to the lowest index. Asking for more points than are distinct repeats the first one. The first m of
    `count` picks are what a sample of m would be, and sampling a sample again from its own first point gives its
    prefix: nested levels need one call.
    """
    if not 0 < count <= points.shape[1]:
        raise ValueError(f"cannot sample {count} of {points.shape[1]} points")
    if points.is_cuda and points.dtype == torch.float32 and points.shape[1] <= LARGEST:
        kernel = kernel_for(points.device, farthest_points)
        if kernel is not None:
            return kernel(points, count, start)
    batch = len(points)
    x, y, z = (plane.contiguous() for plane in points.unbind(-1))
    chosen = torch.empty(batch, count, dtype=torch.int64, device=points.device)
    distance = torch.full_like(x, torch.inf)
    new, other = torch.empty_like(x), torch.empty_like(x)
    last = torch.zeros(batch, 1, dtype=torch.int64, device=points.device) if start is None else start.view(batch, 1)
    for index in range(count):
        chosen[:, index] = last[:, 0]
        torch.sub(x, x.gather(1, last), out=new).square_()
        for plane in (y, z):
            torch.sub(plane, plane.gather(1, last), out=other)
            new.addcmul_(other, other)
        torch.minimum(distance, new, out=distance)
        last = distance.max(dim=1, keepdim=True).indices
    return chosen


@torch.no_grad()
def nearest(centers: Tensor, points: Tensor, k: int) -> Tensor:
    """The k nearest points of each centre, nearest first: (B, S, 3), (B, N, 3) to (B, S, k)."""
    if not 0 < k <= points.shape[1]:
        raise ValueError(f"cannot take {k} neighbours of {points.shape[1]} points")
    return squared_distances(centers, points).topk(k, dim=-1, largest=False, sorted=True).indices


@torch.no_grad()
def ball_query(centers: Tensor, points: Tensor, radius: float, k: int) -> Tensor:
    """Up to k points within `radius` of each centre: (B, S, 3), (B, N, 3) to (B, S, k).

    The first k in the cloud's order, as PointNet++ takes them, not the nearest; a neighbourhood with fewer repeats
    its first. The boundary is inside. A centre that has no point at all gets its nearest.
    """
    distances = squared_distances(centers, points)
    inside = distances <= radius * radius
    found = inside.nonzero()  # rows in order of (cloud, centre, point)
    batch, size, _ = distances.shape
    row = found[:, 0] * size + found[:, 1]
    counts = torch.bincount(row, minlength=batch * size)
    first = counts.cumsum(0) - counts
    rank = torch.arange(len(row), device=row.device) - first[row]
    kept = rank < k
    chosen = distances.argmin(-1).view(-1, 1) if bool((counts == 0).any()) else None
    heads = found[first.clamp(max=max(len(row) - 1, 0)), 2] if len(row) else first
    if chosen is not None:
        heads = torch.where(counts == 0, chosen[:, 0], heads)
    grouped = heads.unsqueeze(1).repeat(1, k)
    grouped[row[kept], rank[kept]] = found[kept, 2]
    return grouped.view(batch, size, k)


def take(values: Tensor, index: Tensor) -> Tensor:
    """Rows of each cloud: values (B, N, C), index (B, ...) to (B, ..., C). Differentiable in `values`."""
    batch, size, channels = values.shape
    offset = torch.arange(batch, device=index.device).view(-1, *([1] * (index.dim() - 1))) * size
    return functional.embedding(index + offset, values.reshape(batch * size, channels))
