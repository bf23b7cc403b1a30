"""An attentive probe: a few learned queries read a representation's tokens by one layer of cross-attention.

The common way to ask frozen tokens what they know (Chen et al. 2022, arXiv:2202.03026; Bardes et al. 2024,
arXiv:2404.08471), at the least cost: tokens do not attend to each other.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from baselines.act.positions import sine_1d

QUERIES, WIDTH, HEADS = 16, 128, 4


class AttentiveProbe(nn.Module):
    """Tokens (B, T, D) to (B, `size`): what each query reads, side by side."""

    size = QUERIES * WIDTH

    def __init__(self, token_dim: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(token_dim)
        self.embed = nn.Linear(token_dim, WIDTH)
        self.queries = nn.Parameter(torch.randn(1, QUERIES, WIDTH) * WIDTH**-0.5)
        self.attention = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True)

    def forward(self, tokens: Tensor) -> Tensor:
        values = self.embed(self.norm(tokens))
        keys = values + sine_1d(values.shape[1], WIDTH, values.device)
        read, _ = self.attention(self.queries.expand(len(tokens), -1, -1), keys, values, need_weights=False)
        return read.flatten(1)
