"""CLAMP's text encoder (section III-B, appendix C): 12 layers, width 768, 256 tokens, trained from scratch.

The count of 277 M is met with mT5's vocabulary of 250,112 tokens and without a further projection. Big Vision, which
the paper trains with, has its text transformer see all tokens from all places, and takes the last token, which is the
end-of-text token that fills a short text up.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from methods.networks.vit import Block, init_transformer


@dataclass(frozen=True)
class TextConfig:
    """Sizes, by default the paper's. context: tokens of a text, filled up with the end-of-text token."""

    width: int = 768
    depth: int = 12
    heads: int = 12
    hidden: int = 3072
    context: int = 256


PAPER = TextConfig()
SMALL = TextConfig(width=128, depth=2, heads=4, hidden=512, context=96)
"""Ours, beside `methods.clamp.encoder.SMALL`."""


class TextEncoder(nn.Module):
    """Tokens (B, T) int64 to (B, D), not normalised."""

    def __init__(self, vocabulary: int, config: TextConfig = PAPER) -> None:
        super().__init__()
        self.embed = nn.Embedding(vocabulary, config.width)
        self.pos_embed = nn.Parameter(torch.zeros(1, config.context, config.width))
        self.blocks = nn.ModuleList(
            Block(config.width, config.heads, hidden=config.hidden, gelu="tanh") for _ in range(config.depth)
        )
        self.norm = nn.LayerNorm(config.width, 1e-6)
        init_transformer(self)
        nn.init.normal_(self.embed.weight, std=0.02)

    def forward(self, tokens: Tensor) -> Tensor:
        values = self.embed(tokens) + self.pos_embed
        for block in self.blocks:
            values = block(values)
        return self.norm(values[:, -1])
