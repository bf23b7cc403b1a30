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

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Linear(3, 128), ChannelsLastBatchNorm(128), nn.ReLU(), nn.Linear(128, 256))
        self.second = nn.Sequential(nn.Linear(512, 512), ChannelsLastBatchNorm(512), nn.ReLU(), nn.Linear(512, width))

    def forward(self, patches: Tensor) -> Tensor:
        local = self.first(patches)
        whole = local.max(dim=2, keepdim=True).values.expand_as(local)
        return self.second(torch.cat([whole, local], dim=-1)).max(dim=2).values


class PositionEmbed(nn.Sequential):
    """Centres (B, n, 3) to (B, n, width)."""

    def __init__(self, width: int) -> None:
        super().__init__(nn.Linear(3, 128), nn.GELU(), nn.Linear(128, width))
