"""Lift3D's point tokenizer and the positions its tokens borrow from CLIP (PKU-HMI-Lab/LIFT3D b0cff85).

Point-PN's stages: choose centres, gather neighbours, add a trigonometric embedding of their normalised offsets,
residual layers, maximum. 276,672 parameters.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from methods.networks.grouping import ChannelsLastBatchNorm
from methods.pointops import farthest_points, nearest, take

ALPHA, BETA = 1000.0, 100.0
NEIGHBOURS = 64
STAGES = ((96, 192, 96, 2), (192, 384, 192, 1), (384, 768, 32, 1))
"""For each stage: channels in, channels out, width of the bottleneck, number of residual layers."""


def trigonometric(offsets: Tensor, channels: int) -> Tensor:
    """(..., 3) to (..., channels): for each coordinate the sines of channels / 6 frequencies, then their cosines.

    The order is that of networks.py:247; Lift3D's weights were trained with it.
    """
    count = channels // 6
    wavelength = ALPHA ** (torch.arange(count, dtype=offsets.dtype, device=offsets.device) / count)
    angle = BETA * offsets.unsqueeze(-1) / wavelength
    return torch.cat([angle.sin(), angle.cos()], dim=-1).flatten(-2)


class Residual(nn.Module):
    def __init__(self, channels: int, bottleneck: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(channels, bottleneck),
            ChannelsLastBatchNorm(bottleneck),
            nn.ReLU(),
            nn.Linear(bottleneck, channels),
            ChannelsLastBatchNorm(channels),
        )

    def forward(self, values: Tensor) -> Tensor:
        return torch.relu(values + self.layers(values))


class Tokenizer(nn.Module):
    """(B, N, 3) points in the unit sphere to centres (B, N / 8, 3) and tokens (B, N / 8, 768).

    random_centers: uniform with replacement, drawn anew in every forward pass, evaluation included: what the public
        code does, since it computes farthest points and overwrites them.
    batch_scale: offsets are divided by one standard deviation over the whole batch, as the public code trains; else
        by each cloud's own, which is what it evaluates with (batches of one).
    """

    def __init__(self, random_centers: bool, batch_scale: bool) -> None:
        super().__init__()
        self.random_centers, self.batch_scale = random_centers, batch_scale
        width = STAGES[0][0]
        first = nn.Linear(3, width, bias=False)
        nn.init.trunc_normal_(first.weight, std=0.02)  # of the tokenizer, `_init_weights` reaches this layer alone
        self.embed = nn.Sequential(first, ChannelsLastBatchNorm(width), nn.ReLU())
        self.stages = nn.ModuleList(
            nn.Sequential(*(Residual(outputs, bottleneck) for _ in range(count)))
            for _, outputs, bottleneck, count in STAGES
        )

    def _centers(self, points: Tensor, count: int) -> Tensor:
        if self.random_centers:
            return torch.randint(points.shape[1], (len(points), count), device=points.device)
        return farthest_points(points, count)

    def forward(self, points: Tensor) -> tuple[Tensor, Tensor]:
        features = self.embed(points)
        for (_, outputs, _, _), layers in zip(STAGES, self.stages, strict=True):
            chosen = self._centers(points, points.shape[1] // 2)
            centers, at_centers = take(points, chosen), take(features, chosen)
            index = nearest(centers, points, min(NEIGHBOURS, points.shape[1]))
            offsets = take(points, index) - centers.unsqueeze(2)
            wide = self.batch_scale and self.training
            spread = offsets.std() if wide else offsets.flatten(1).std(dim=1).view(-1, 1, 1, 1)
            offsets = offsets / (spread + 1e-5)
            neighbours = take(features, index)
            both = torch.cat([neighbours, at_centers.unsqueeze(2).expand_as(neighbours)], dim=-1)
            hidden = layers(both + trigonometric(offsets, outputs))
            points, features = centers, hidden.max(dim=2).values
        return points, features


def view_rotations() -> Tensor:
    """(6, 3, 3): a cube's faces. Quarter turns about x and about y, after a quarter turn about z.

    Angles, and the order Rx Ry Rz p in which they are applied: mv_utils.py:57, :399.
    """

    def about(axis: int, quarter_turns: int) -> Tensor:
        angle = quarter_turns * math.pi / 2
        cosine, sine = round(math.cos(angle)), round(math.sin(angle))
        matrix = torch.eye(3)
        a, b = [i for i in range(3) if i != axis]
        matrix[a, a] = matrix[b, b] = cosine
        sign = -1 if axis == 1 else 1
        matrix[a, b], matrix[b, a] = -sign * sine, sign * sine
        return matrix

    turns = [(0, 0), (1, 0), (2, 0), (3, 0), (0, -1), (0, 1)]
    return torch.stack([about(0, x) @ about(1, y) @ about(2, 1) for x, y in turns])


def view_positions(
    centers: Tensor, grid: Tensor, rotations: Tensor, scrambled: bool = False, distance: float = 1.6, size: int = 224
) -> Tensor:
    """Position embeddings of centres (B, n, 3), averaged over virtual views: (B, n, D) from grid (D, g, g).

    Each view looks at the unit sphere from `distance`; the grid is CLIP's, spread over an image of `size` pixels.
    scrambled: what the public code adds instead (lift3d_clip.py:442, :502). It reads each view's (D, n) as if it were
    (n, D), so a token gets D / n of the grid's channels for all points, and no position of its own.
    """
    turned = torch.einsum("vij,bnj->bvni", rotations, centers)
    depth = turned[..., 2:] + distance
    pixels = torch.remainder((turned[..., :2] / depth + 1) / 2 * size - 0.5, size)
    where = pixels / (size - 1) * 2 - 1
    batch, views, count, _ = where.shape
    sampled = functional.grid_sample(
        grid.expand(batch * views, *grid.shape), where.reshape(batch * views, count, 1, 2), align_corners=True
    ).view(batch, views, len(grid), count)
    each = sampled.reshape(batch, views, count, len(grid)) if scrambled else sampled.transpose(2, 3)
    return each.mean(dim=1)
