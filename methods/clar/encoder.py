"""CLAR's encoder (section III-A): patch tokens through a transformer, positions added at every block.

Stated in the paper: FPS centres, kNN patches in coordinates relative to their centre, a mini-PointNet, positional
embeddings, a standard transformer, clouds in the robot's frame. Silent, with the default taken from Point-MAE
(Pang-Yatian/Point-MAE 7445a68), which the paper builds on: 64 patches of 32 points, 12 blocks of width 384 with 6
heads and no bias on q, k and v, stochastic depth up to 0.1, and the feature [class token, maximum over patches].
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from methods.clar.tokenizer import PatchEmbed, PositionEmbed, group
from methods.networks.vit import Block, init_transformer


@dataclass(frozen=True)
class EncoderConfig:
    patches: int = 64
    patch_points: int = 32
    width: int = 384
    depth: int = 12
    heads: int = 6
    drop_path: float = 0.1
    hidden: tuple[int, int, int] = (128, 256, 512)
    """Widths inside the mini-PointNet."""


SMALL = EncoderConfig(patches=32, patch_points=16, width=128, depth=4, heads=4, drop_path=0.0, hidden=(32, 64, 128))
"""Ours, for machines without a GPU: the same in everything but size."""


class Encoder(nn.Module):
    """21,825,024 parameters without the class token and its position, as Point-MAE's."""

    def __init__(self, config: EncoderConfig | None = None) -> None:
        super().__init__()
        self.config = c = config or EncoderConfig()
        self.patch_embed = PatchEmbed(c.width, c.hidden)
        self.position_embed = PositionEmbed(c.width)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, c.width))
        self.cls_pos = nn.Parameter(torch.zeros(1, 1, c.width))
        rates = torch.linspace(0, c.drop_path, c.depth, device="cpu").tolist()  # numbers, under any default device
        self.blocks = nn.ModuleList(Block(c.width, c.heads, qkv_bias=False, eps=1e-5, drop_path=rate) for rate in rates)
        self.norm = nn.LayerNorm(c.width)
        init_transformer(self)

    def patches(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """(B, N, 3) to centres (B, n, 3) and patches (B, n, k, 3) relative to them."""
        return group(points, self.config.patches, self.config.patch_points)

    def forward(self, centers: Tensor, patches: Tensor) -> Tensor:
        """Any subset of centres and their patches to tokens (B, 1 + n, width), class token first, after the norm."""
        batch = len(centers)
        positions = torch.cat([self.cls_pos.expand(batch, -1, -1), self.position_embed(centers)], dim=1)
        tokens = torch.cat([self.cls_token.expand(batch, -1, -1), self.patch_embed(patches)], dim=1)
        for block in self.blocks:
            tokens = block(tokens + positions)
        return self.norm(tokens)
