"""Points to patches to tokens (CLAR section III-A; Point-MAE's mini-PointNet where the paper gives only structure)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from methods.networks.grouping import ChannelsLastBatchNorm
from methods.pointops import farthest_points, nearest, take


def group(points: Tensor, patches: int, size: int) -> tuple[Tensor, Tensor]:
    """Centres (B, n, 3) by farthest-point sampling from the first point, and each one's `size` nearest points
    relative to it (B, n, k, 3); for points (B, N, 3)."""
    centers = take(points, farthest_points(points, patches))
    return centers, take(points, nearest(centers, points, size)) - centers.unsqueeze(2)


class PatchEmbed(nn.Module):
    """A small PointNet over each patch: (B, n, k, 3) to (B, n, width). 494,464 parameters at width 384."""

    def __init__(self, width: int, hidden: tuple[int, int, int] = (128, 256, 512)) -> None:
        super().__init__()
        a, b, c = hidden
        self.first = nn.Sequential(nn.Linear(3, a), ChannelsLastBatchNorm(a), nn.ReLU(), nn.Linear(a, b))
        self.second = nn.Sequential(nn.Linear(2 * b, c), ChannelsLastBatchNorm(c), nn.ReLU(), nn.Linear(c, width))

    def forward(self, patches: Tensor) -> Tensor:
        local = self.first(patches)
        whole = local.max(dim=2, keepdim=True).values.expand_as(local)
        return self.second(torch.cat([whole, local], dim=-1)).max(dim=2).values


class PositionEmbed(nn.Sequential):
    """Centres (B, n, 3) to (B, n, width)."""

    def __init__(self, width: int) -> None:
        super().__init__(nn.Linear(3, 128), nn.GELU(), nn.Linear(128, width))
