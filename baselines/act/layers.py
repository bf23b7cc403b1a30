"""Transformer layers as in DETR (Carion et al. 2020): norms after the sums, positions added to queries and keys of
every layer and never to values.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from baselines.act.sizes import Sizes


class FeedForward(nn.Module):
    """(B, T, width) to (B, T, width): two layers with ReLU, the sum with what came in, its norm."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.inner, self.outer = nn.Linear(sizes.width, sizes.hidden), nn.Linear(sizes.hidden, sizes.width)
        self.norm = nn.LayerNorm(sizes.width)
        self.dropout = nn.Dropout(sizes.dropout)

    def forward(self, tokens: Tensor) -> Tensor:
        inside = self.dropout(torch.relu(self.inner(tokens)))
        return self.norm(tokens + self.dropout(self.outer(inside)))


class Attention(nn.Module):
    """(B, T, width) from itself or from others; the sum with what came in, its norm."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(sizes.width, sizes.heads, sizes.dropout, batch_first=True)
        self.norm = nn.LayerNorm(sizes.width)
        self.dropout = nn.Dropout(sizes.dropout)

    def forward(
        self, tokens: Tensor, queries: Tensor, keys: Tensor, values: Tensor, padded: Tensor | None = None
    ) -> Tensor:
        """padded: (B, T of keys) bool, True where a key is not looked at."""
        found, _ = self.attention(queries, keys, values, key_padding_mask=padded, need_weights=False)
        return self.norm(tokens + self.dropout(found))


class EncoderLayer(nn.Module):
    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.attention, self.feed = Attention(sizes), FeedForward(sizes)

    def forward(self, tokens: Tensor, positions: Tensor, padded: Tensor | None = None) -> Tensor:
        """tokens (B, T, width), positions (T, width), padded (B, T) bool."""
        placed = tokens + positions
        return self.feed(self.attention(tokens, placed, placed, tokens, padded))


class DecoderLayer(nn.Module):
    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.attention, self.cross, self.feed = Attention(sizes), Attention(sizes), FeedForward(sizes)

    def forward(self, tokens: Tensor, queries: Tensor, memory: Tensor, positions: Tensor) -> Tensor:
        """tokens (B, chunk, width), queries (chunk, width); memory (B, T, width), positions (T, width)."""
        placed = tokens + queries
        tokens = self.attention(tokens, placed, placed, tokens)
        return self.feed(self.cross(tokens, tokens + queries, memory + positions, memory))


def xavier(module: nn.Module) -> None:
    """Every matrix of a transformer, as DETR and ACT begin with."""
    for parameter in module.parameters():
        if parameter.dim() > 1:
            nn.init.xavier_uniform_(parameter)
