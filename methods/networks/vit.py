"""The Vision Transformer (Dosovitskiy et al., ICLR 2021) with timm's parameter names.

VC-1 and SPA publish weights under these names; CLAR's and CLAMP's encoders are made of the same blocks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

Rotate = Callable[[Tensor], Tensor]
"""(B, heads, T, D / heads) queries or keys to the same with positions rotated in."""


@dataclass(frozen=True)
class ViTConfig:
    """patch and size in pixels."""

    size: int
    patch: int
    width: int
    depth: int
    heads: int

    @property
    def tokens(self) -> int:
        return (self.size // self.patch) ** 2


VIT_B16 = ViTConfig(size=224, patch=16, width=768, depth=12, heads=12)
VIT_L16 = ViTConfig(size=224, patch=16, width=1024, depth=24, heads=16)


class Attention(nn.Module):
    """Multi-head self-attention, queries, keys and values in one matrix."""

    def __init__(self, width: int, heads: int, qkv_bias: bool = True) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width, bias=qkv_bias)
        self.proj = nn.Linear(width, width)

    def forward(self, tokens: Tensor, rotate: Rotate | None = None) -> Tensor:
        """(B, T, D) to (B, T, D)."""
        batch, count, width = tokens.shape
        queries, keys, values = self.qkv(tokens).view(batch, count, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        if rotate is not None:
            queries, keys = rotate(queries), rotate(keys)
        mixed = functional.scaled_dot_product_attention(queries, keys, values)
        return self.proj(mixed.transpose(1, 2).reshape(batch, count, width))


class MLP(nn.Module):
    def __init__(self, width: int, hidden: int, gelu: Literal["none", "tanh"] = "none") -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.act = nn.GELU(approximate=gelu)
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.fc2(self.act(self.fc1(tokens)))


class DropPath(nn.Module):
    """Stochastic depth: in training a sample's whole branch is dropped with this probability (Huang et al. 2016)."""

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.probability = probability

    def forward(self, branch: Tensor) -> Tensor:
        if not self.training or self.probability == 0:
            return branch
        kept = torch.rand(len(branch), *([1] * (branch.dim() - 1)), device=branch.device) >= self.probability
        return branch * kept / (1 - self.probability)


class Block(nn.Module):
    """Pre-norm transformer block."""

    def __init__(
        self,
        width: int,
        heads: int,
        *,
        hidden: int | None = None,
        qkv_bias: bool = True,
        eps: float = 1e-6,
        drop_path: float = 0.0,
        gelu: Literal["none", "tanh"] = "none",
    ) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps)
        self.attn = Attention(width, heads, qkv_bias)
        self.norm2 = nn.LayerNorm(width, eps)
        self.mlp = MLP(width, hidden or 4 * width, gelu)
        self.drop_path = DropPath(drop_path)

    def forward(self, tokens: Tensor, rotate: Rotate | None = None) -> Tensor:
        tokens = tokens + self.drop_path(self.attn(self.norm1(tokens), rotate))
        return tokens + self.drop_path(self.mlp(self.norm2(tokens)))


class PatchEmbed(nn.Module):
    def __init__(self, channels: int, patch: int, width: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(channels, width, patch, patch)

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, H, W) to (B, H / patch * W / patch, width), row by row."""
        return self.proj(images).flatten(2).transpose(1, 2)


class ViT(nn.Module):
    """Images (B, 3, size, size) to tokens (B, 1 + T, width): class token first, after the final norm."""

    def __init__(self, config: ViTConfig) -> None:
        super().__init__()
        self.config = config
        self.patch_embed = PatchEmbed(3, config.patch, config.width)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, config.width))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + config.tokens, config.width))
        self.blocks = nn.ModuleList(Block(config.width, config.heads) for _ in range(config.depth))
        self.norm = nn.LayerNorm(config.width, 1e-6)
        init_transformer(self)

    def forward(self, images: Tensor) -> Tensor:
        tokens = self.patch_embed(images)
        tokens = torch.cat([self.cls_token.expand(len(tokens), -1, -1), tokens], dim=1) + self.pos_embed
        for block in self.blocks:
            tokens = block(tokens)
        return self.norm(tokens)


def init_transformer(module: nn.Module) -> None:
    """Truncated normal 0.02 for weights and tokens, zero biases: the usual start of a ViT (timm, Point-MAE)."""
    for layer in module.modules():
        if isinstance(layer, (nn.Linear, nn.Conv1d, nn.Conv2d)):
            nn.init.trunc_normal_(layer.weight, std=0.02)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    for name, parameter in module.named_parameters():
        if name.rpartition(".")[2] in ("cls_token", "cls_pos", "pos_embed", "class_embedding", "positional_embedding"):
            nn.init.trunc_normal_(parameter, std=0.02)
