"""DP3's point-wise layers (3D Diffusion Policy, Ze et al., RSS 2024), read in the authors' repository
(YanjieZe/3D-Diffusion-Policy, 47385d9): 64-128-256, each with LayerNorm and ReLU."""

from __future__ import annotations

from torch import nn

WIDTH = 256
"""Of a point's feature."""


def point_layers(inputs: int = 3) -> list[nn.Module]:
    """From (..., inputs) to (..., `WIDTH`), each point by itself."""
    layers: list[nn.Module] = []
    for before, after in ((inputs, 64), (64, 128), (128, WIDTH)):
        layers += [nn.Linear(before, after), nn.LayerNorm(after), nn.ReLU(inplace=True)]
    return layers
