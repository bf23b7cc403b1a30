"""CLAR's local alignment (section III-B, eqs 5 and 6).

Stated: patch centres are projected into the image; each patch's encoded feature is a query with that pixel as its
reference point; K offsets and weights are predicted from the query, and the image feature is the weighted sum of
the map sampled there (deformable attention over one level); patch and sampled feature are contrasted both ways.
Silent, with our default: CLIP's 14 x 14 patch tokens as the map; 8 heads of 4 points and their start from Deformable
DETR (fundamentalvision/Deformable-DETR 11169a6); a common width of 256; a temperature of its own; patches whose centre
lies outside the image, behind the camera or behind what the camera saw (depth differs by more than 2 cm) are left
out as queries and as negatives; negatives are the other patches of the same image (`batch`: of all images).
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from methods.clar.contrast import Form, Temperature, contrast

Negatives = Literal["image", "batch"]
TOLERANCE = 0.02
"""Metres between a centre's depth and the depth image's, within which the camera sees it."""


def project(centers: Tensor, intrinsics: Tensor, extrinsics: Tensor) -> tuple[Tensor, Tensor]:
    """Robot-frame points (B, n, 3) in metres to pixels (B, n, 2), column and row, and depth (B, n) in metres.

    intrinsics (B, 3, 3) in pixels with pixel centres at half-integers; extrinsics (B, 4, 4) robot_from_camera, OpenCV
    axes. At or behind the camera depth is <= 0 and the pixel is meaningless, but finite.
    """
    rotation, origin = extrinsics[:, :3, :3], extrinsics[:, None, :3, 3]
    with torch.autocast(centers.device.type, enabled=False):  # bfloat16 would move points by centimetres
        local = (centers - origin) @ rotation  # the inverse of a rotation is its transpose
        depth = local[..., 2]
        ahead = torch.where(depth > 1e-6, depth, torch.ones_like(depth))
        pixels = (local @ intrinsics.transpose(1, 2))[..., :2] / ahead.unsqueeze(-1)
    return torch.where((depth > 1e-6).unsqueeze(-1), pixels, -torch.ones_like(pixels)), depth


def visible(pixels: Tensor, depth: Tensor, seen: Tensor, tolerance: float = TOLERANCE) -> Tensor:
    """Which projected points the camera sees: pixels (B, n, 2), depth (B, n), depth image (B, H, W) to (B, n) bool.

    Where the depth image is NaN or infinite nothing is known to be seen.
    """
    height, width = seen.shape[1:]
    column, row = pixels[..., 0].floor().long(), pixels[..., 1].floor().long()
    inside = (depth > 0) & (column >= 0) & (column < width) & (row >= 0) & (row < height)
    index = row.clamp(0, height - 1) * width + column.clamp(0, width - 1)
    return inside & ((seen.flatten(1).gather(1, index) - depth).abs() <= tolerance)


class DeformableSampling(nn.Module):
    """Deformable attention over one feature map (Zhu et al., ICLR 2021, section 4.1; eq. 5 for each head)."""

    def __init__(self, query_dim: int, value_dim: int, width: int, heads: int = 8, points: int = 4) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"width {width} is no multiple of {heads} heads")
        self.heads, self.points = heads, points
        self.offsets = nn.Linear(query_dim, heads * points * 2)
        self.weights = nn.Linear(query_dim, heads * points)
        self.value = nn.Linear(value_dim, width)
        self.output = nn.Linear(width, width)
        self._start()

    def _start(self) -> None:
        """Head m looks in its own direction, point k at k + 1 cells; all points weigh the same."""
        angle = torch.arange(self.heads) * (2 * math.pi / self.heads)
        direction = torch.stack([angle.cos(), angle.sin()], dim=-1)
        direction = direction / direction.abs().amax(dim=-1, keepdim=True)
        steps = torch.arange(1, self.points + 1).view(1, -1, 1)
        with torch.no_grad():
            self.offsets.bias.copy_((direction.unsqueeze(1) * steps).flatten())
        for layer in (self.offsets, self.weights):
            nn.init.zeros_(layer.weight)
        nn.init.zeros_(self.weights.bias)
        for layer in (self.value, self.output):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)

    def where(self, queries: Tensor, reference: Tensor, shape: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Sampling places (B, n, heads, points, 2) in [0, 1] of the image, and weights (B, n, heads, points).

        queries (B, n, query_dim); reference (B, n, 2), column and row in [0, 1]; shape: rows and columns of the map.
        """
        batch, n, _ = queries.shape
        size = torch.tensor([shape[1], shape[0]], device=queries.device)
        offsets = self.offsets(queries).view(batch, n, self.heads, self.points, 2) / size
        weights = self.weights(queries).view(batch, n, self.heads, self.points).softmax(dim=-1)
        return reference[:, :, None, None] + offsets, weights

    def forward(self, queries: Tensor, reference: Tensor, feature_map: Tensor) -> Tensor:
        """queries (B, n, query_dim), reference (B, n, 2), map (B, h, w, value_dim) to (B, n, width)."""
        batch, n, _ = queries.shape
        rows, columns = feature_map.shape[1:3]
        places, weights = self.where(queries, reference, (rows, columns))
        values = self.value(feature_map).view(batch, rows, columns, self.heads, -1)
        values = values.permute(0, 3, 4, 1, 2).flatten(0, 1)  # (B * heads, width / heads, rows, columns)
        grid = 2 * places.transpose(1, 2).flatten(0, 1) - 1  # (B * heads, n, points, 2)
        sampled = functional.grid_sample(values, grid.to(values.dtype), padding_mode="zeros", align_corners=False)
        mixed = (sampled * weights.transpose(1, 2).flatten(0, 1).unsqueeze(1)).sum(dim=-1)
        return self.output(mixed.view(batch, -1, n).transpose(1, 2))


class LocalAlignment(nn.Module):
    """Patches against what the image's feature map holds where they are."""

    def __init__(
        self,
        patch_dim: int,
        map_dim: int,
        width: int = 256,
        heads: int = 8,
        points: int = 4,
        form: Form = "infonce",
        negatives: Negatives = "image",
    ) -> None:
        super().__init__()
        self.form, self.negatives = form, negatives
        self.sampling = DeformableSampling(patch_dim, map_dim, width, heads, points)
        self.project = nn.Linear(patch_dim, width)
        self.temperature = Temperature()

    def forward(self, patches: Tensor, feature_map: Tensor, reference: Tensor, seen: Tensor) -> Tensor:
        """Eq. 6: patches (B, n, patch_dim), map (B, h, w, map_dim), reference (B, n, 2) in [0, 1], seen (B, n) bool."""
        sampled = functional.normalize(self.sampling(patches, reference, feature_map).float(), dim=-1)
        ours = functional.normalize(self.project(patches).float(), dim=-1)
        if self.negatives == "batch":
            ours, sampled, seen = ours.flatten(0, 1), sampled.flatten(0, 1), seen.flatten()
        return contrast(self.temperature(ours @ sampled.transpose(-1, -2)), valid=seen, form=self.form)
