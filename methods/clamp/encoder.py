"""CLAMP's two observation encoders (section III-C): a ViT over tiled virtual views, a transformer over past actions.

Sizes as the paper states them: ViT-B/16, 980 tokens, "94 M"; two layers, width 768, "18 M". The counts are met with a
learned absolute position beside STRING and without a further projection (methods/clamp/string.py has what is open).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from methods.clamp.string import CayleyString
from methods.networks.vit import MLP, Block, PatchEmbed, init_transformer

WIDTH, DEPTH, HEADS, PATCH, HIDDEN = 768, 12, 12, 16, 3072
VIEWS, SIZE = 5, 224
TOKENS = VIEWS * (SIZE // PATCH) ** 2


class AttentionPool(nn.Module):
    """MAP: one learned probe attends to all tokens, then a residual MLP (Zhai et al. 2022): (B, T, D) to (B, D)."""

    def __init__(self, width: int = WIDTH, heads: int = HEADS, hidden: int = HIDDEN) -> None:
        super().__init__()
        self.probe = nn.Parameter(torch.randn(1, 1, width) * width**-0.5)
        self.attention = nn.MultiheadAttention(width, heads, batch_first=True)
        self.norm = nn.LayerNorm(width, 1e-6)
        self.mlp = MLP(width, hidden, gelu="tanh")

    def forward(self, tokens: Tensor) -> Tensor:
        pooled, _ = self.attention(self.probe.expand(len(tokens), -1, -1), tokens, tokens, need_weights=False)
        return (pooled + self.mlp(self.norm(pooled)))[:, 0]


class ImageEncoder(nn.Module):
    """Views (B, 5, 224, 224, 4) of depth, x, y, z in metres and their masks (B, 5, 224, 224) to 980 tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.patch_embed = PatchEmbed(4, PATCH, WIDTH)
        self.pos_embed = nn.Parameter(torch.zeros(1, TOKENS, WIDTH))
        self.blocks = nn.ModuleList(Block(WIDTH, HEADS, hidden=HIDDEN, gelu="tanh") for _ in range(DEPTH))
        self.string = nn.ModuleList(CayleyString(HEADS, WIDTH // HEADS) for _ in range(DEPTH))
        self.norm = nn.LayerNorm(WIDTH, 1e-6)
        self.pool = AttentionPool()
        init_transformer(self)

    def forward(self, views: Tensor, valid: Tensor) -> Tensor:
        """(B, 980, 768), view by view and row by row: the views stand side by side in one 224 x 1120 picture."""
        tiled = tile(views * valid.unsqueeze(-1))  # whatever stands in an empty pixel is not seen
        tokens = self.patch_embed(tiled.permute(0, 3, 1, 2)) + self.pos_embed
        positions = patch_positions(tiled[..., 1:], tile(valid.unsqueeze(-1).float())[..., 0])
        for block, string in zip(self.blocks, self.string, strict=True):
            tokens = block(tokens, string.rotation(positions))  # type: ignore[operator]
        return self.norm(tokens)


def tile(views: Tensor) -> Tensor:
    """(B, V, H, W, C) to (B, H, V * W, C)."""
    return views.permute(0, 2, 1, 3, 4).flatten(2, 3)


def patch_positions(xyz: Tensor, valid: Tensor) -> Tensor:
    """The mean position of each patch's filled pixels, (B, H, W, 3) and (B, H, W) to (B, T, 3); zero for none."""
    sums = functional.avg_pool2d((xyz * valid.unsqueeze(-1)).permute(0, 3, 1, 2), PATCH, divisor_override=1)
    counts = functional.avg_pool2d(valid.unsqueeze(1), PATCH, divisor_override=1)
    return (sums / counts.clamp(min=1)).flatten(2).transpose(1, 2)


class ActionEncoder(nn.Module):
    """Past actions (B, H, A), normalised, to tokens (B, H, 768)."""

    def __init__(self, steps: int, size: int) -> None:
        super().__init__()
        self.embed = nn.Linear(size, WIDTH)
        self.positions = nn.Parameter(torch.randn(1, steps, WIDTH) * 0.02)
        layer = nn.TransformerEncoderLayer(WIDTH, HEADS, 2048, dropout=0.1, batch_first=True)
        self.layers = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.norm = nn.LayerNorm(WIDTH)
        self.pool = AttentionPool()

    def forward(self, actions: Tensor) -> Tensor:
        return self.norm(self.layers(self.embed(actions) + self.positions))
