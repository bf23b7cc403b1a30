"""CLAMP's two observation encoders (section III-C): a ViT over tiled virtual views, a transformer over past actions.

Sizes as the paper states them: ViT-B/16, 980 tokens, "94 M"; two layers, width 768, "18 M". The counts are met with a
learned absolute position beside STRING and without a further projection (methods/clamp/string.py has what is open).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from methods.clamp.string import CayleyString
from methods.networks.vit import MLP, Block, PatchEmbed, init_transformer


@dataclass(frozen=True)
class EncoderConfig:
    """Sizes of both encoders, by default the paper's. patch and size in pixels; depth and hidden are the ViT's.

    hidden: of both poolings, too. action_depth, feedforward: of the transformer over past actions.
    views: how many of an observation's, the first ones, of `size` pixels. string: positions in space in attention;
    without it the learned ones alone (Table III).
    """

    width: int = 768
    heads: int = 12
    hidden: int = 3072
    depth: int = 12
    patch: int = 16
    action_depth: int = 2
    feedforward: int = 2048
    views: int = 5
    size: int = 224
    string: bool = True

    @property
    def tokens(self) -> int:
        """Of all views."""
        return self.views * (self.size // self.patch) ** 2


PAPER = EncoderConfig()
SMALL = EncoderConfig(width=128, heads=4, hidden=512, depth=4, patch=32, feedforward=256)
"""Ours, for machines without a GPU: 245 tokens of the same views."""


class AttentionPool(nn.Module):
    """MAP: one learned probe attends to all tokens, then a residual MLP (Zhai et al. 2022): (B, T, D) to (B, D)."""

    def __init__(self, width: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.probe = nn.Parameter(torch.randn(1, 1, width) * width**-0.5)
        self.attention = nn.MultiheadAttention(width, heads, batch_first=True)
        self.norm = nn.LayerNorm(width, 1e-6)
        self.mlp = MLP(width, hidden, gelu="tanh")

    def forward(self, tokens: Tensor) -> Tensor:
        pooled, _ = self.attention(self.probe.expand(len(tokens), -1, -1), tokens, tokens, need_weights=False)
        return (pooled + self.mlp(self.norm(pooled)))[:, 0]


class ImageEncoder(nn.Module):
    """Views (B, V, S, S, 4) of depth, x, y, z in metres and their masks (B, V, S, S) to tokens; the paper's 5 views of
    224 pixels to 980."""

    def __init__(self, config: EncoderConfig = PAPER) -> None:
        super().__init__()
        width, heads = config.width, config.heads
        self.patch, self.views = config.patch, config.views
        self.patch_embed = PatchEmbed(4, config.patch, width)
        self.pos_embed = nn.Parameter(torch.zeros(1, config.tokens, width))
        self.blocks = nn.ModuleList(Block(width, heads, hidden=config.hidden, gelu="tanh") for _ in range(config.depth))
        layers = config.depth if config.string else 0
        self.string = nn.ModuleList(CayleyString(heads, width // heads) for _ in range(layers))
        self.norm = nn.LayerNorm(width, 1e-6)
        self.pool = AttentionPool(width, heads, config.hidden)
        init_transformer(self)

    def forward(self, views: Tensor, valid: Tensor) -> Tensor:
        """(B, T, D), row by row: the views stand side by side in one image, the paper's of 224 x 1120."""
        views, valid = views[:, : self.views], valid[:, : self.views]
        tiled = tile(views * valid.unsqueeze(-1))  # whatever stands in an empty pixel is not seen
        tokens = self.patch_embed(tiled.permute(0, 3, 1, 2)) + self.pos_embed
        if not len(self.string):
            for block in self.blocks:
                tokens = block(tokens)
            return self.norm(tokens)
        positions = patch_positions(tiled[..., 1:], tile(valid.unsqueeze(-1).float())[..., 0], self.patch)
        for block, string in zip(self.blocks, self.string, strict=True):
            tokens = block(tokens, string.rotation(positions))  # type: ignore[operator]
        return self.norm(tokens)


def tile(views: Tensor) -> Tensor:
    """(B, V, H, W, C) to (B, H, V * W, C)."""
    return views.permute(0, 2, 1, 3, 4).flatten(2, 3)


def patch_positions(xyz: Tensor, valid: Tensor, patch: int = PAPER.patch) -> Tensor:
    """The mean position of each patch's filled pixels, (B, H, W, 3) and (B, H, W) to (B, T, 3); zero for none."""
    sums = functional.avg_pool2d((xyz * valid.unsqueeze(-1)).permute(0, 3, 1, 2), patch, divisor_override=1)
    counts = functional.avg_pool2d(valid.unsqueeze(1), patch, divisor_override=1)
    return (sums / counts.clamp(min=1)).flatten(2).transpose(1, 2)


class ActionEncoder(nn.Module):
    """Past actions (B, H, A), normalised, to tokens (B, H, D)."""

    def __init__(self, steps: int, size: int, config: EncoderConfig = PAPER) -> None:
        super().__init__()
        width, heads = config.width, config.heads
        self.embed = nn.Linear(size, width)
        self.positions = nn.Parameter(torch.randn(1, steps, width) * 0.02)
        layer = nn.TransformerEncoderLayer(width, heads, config.feedforward, dropout=0.1, batch_first=True)
        self.layers = nn.TransformerEncoder(layer, config.action_depth, enable_nested_tensor=False)
        self.norm = nn.LayerNorm(width)
        self.pool = AttentionPool(width, heads, config.hidden)

    def forward(self, actions: Tensor) -> Tensor:
        return self.norm(self.layers(self.embed(actions) + self.positions))
