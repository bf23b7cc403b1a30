"""CLIP's two towers (Radford et al., ICML 2021) with OpenAI's parameter names (openai/CLIP d05afc4).

What differs from a plain ViT: a norm before the first block, QuickGELU, and a projection without bias.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from methods.networks.vit import init_transformer


@dataclass(frozen=True)
class CLIPConfig:
    """size and patch in pixels; text_* is the text tower; embed is the common space of both."""

    patch: int
    size: int = 224
    width: int = 768
    depth: int = 12
    embed: int = 512
    context: int = 77
    vocabulary: int = 49_408
    text_width: int = 512
    text_depth: int = 12

    @property
    def heads(self) -> int:
        return self.width // 64

    @property
    def text_heads(self) -> int:
        return self.text_width // 64


VIT_B32 = CLIPConfig(patch=32)
VIT_B16 = CLIPConfig(patch=16)


class QuickGELU(nn.Module):
    """x * sigmoid(1.702 x). OpenAI's weights with the exact GELU are a silent mismatch."""

    def forward(self, values: Tensor) -> Tensor:
        return values * torch.sigmoid(1.702 * values)


class SelfAttention(nn.Module):
    """Multi-head self-attention with `nn.MultiheadAttention`'s parameter names."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.in_proj_weight = nn.Parameter(torch.empty(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * width))
        self.out_proj = nn.Linear(width, width)
        nn.init.trunc_normal_(self.in_proj_weight, std=0.02)

    def project(self, tokens: Tensor) -> Tensor:
        """(B, T, D) to queries, keys and values side by side, (B, T, 3D)."""
        return functional.linear(tokens, self.in_proj_weight, self.in_proj_bias)

    def forward(self, tokens: Tensor, causal: bool = False) -> Tensor:
        """(B, T, D) to (B, T, D)."""
        batch, count, width = tokens.shape
        queries, keys, values = self.project(tokens).view(batch, count, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(queries, keys, values, is_causal=causal)
        return self.out_proj(mixed.transpose(1, 2).reshape(batch, count, width))


class CLIPBlock(nn.Module):
    """Pre-norm block."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attn = SelfAttention(width, heads)
        self.ln_1 = nn.LayerNorm(width)
        self.mlp = nn.Sequential()
        self.mlp.add_module("c_fc", nn.Linear(width, 4 * width))
        self.mlp.add_module("gelu", QuickGELU())
        self.mlp.add_module("c_proj", nn.Linear(4 * width, width))
        self.ln_2 = nn.LayerNorm(width)

    def forward(self, tokens: Tensor, causal: bool = False) -> Tensor:
        tokens = tokens + self.attn(self.ln_1(tokens), causal)
        return tokens + self.mlp(self.ln_2(tokens))


class Blocks(nn.Module):
    def __init__(self, width: int, depth: int, heads: int) -> None:
        super().__init__()
        self.resblocks = nn.ModuleList(CLIPBlock(width, heads) for _ in range(depth))

    def forward(self, tokens: Tensor, causal: bool = False) -> Tensor:
        for block in self.resblocks:
            tokens = block(tokens, causal)
        return tokens


class VisionTower(nn.Module):
    """Images (B, 3, size, size), normalised, to (B, embed)."""

    def __init__(self, config: CLIPConfig) -> None:
        super().__init__()
        self.config = config
        self.token_dim = config.width
        tokens = (config.size // config.patch) ** 2
        self.conv1 = nn.Conv2d(3, config.width, config.patch, config.patch, bias=False)
        self.class_embedding = nn.Parameter(torch.empty(config.width))
        self.positional_embedding = nn.Parameter(torch.empty(1 + tokens, config.width))
        self.ln_pre = nn.LayerNorm(config.width)
        self.transformer = Blocks(config.width, config.depth, config.heads)
        self.ln_post = nn.LayerNorm(config.width)
        self.proj = nn.Parameter(torch.randn(config.width, config.embed) * config.width**-0.5)
        init_transformer(self)

    def tokens(self, images: Tensor) -> Tensor:
        """(B, 1 + T, width): the class token, then the patches row by row, before `ln_post`."""
        patches = self.conv1(images).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.class_embedding.expand(len(patches), 1, -1), patches], dim=1)
        return self.transformer(self.ln_pre(tokens + self.positional_embedding))

    def forward(self, images: Tensor) -> Tensor:
        return self.ln_post(self.tokens(images)[:, 0]) @ self.proj


class TextTower(nn.Module):
    """Token ids (B, context) int64, as `methods.networks.clip_tokens` makes them, to (B, embed)."""

    def __init__(self, config: CLIPConfig) -> None:
        super().__init__()
        self.config = config
        self.token_embedding = nn.Embedding(config.vocabulary, config.text_width)
        self.positional_embedding = nn.Parameter(torch.empty(config.context, config.text_width))
        self.transformer = Blocks(config.text_width, config.text_depth, config.text_heads)
        self.ln_final = nn.LayerNorm(config.text_width)
        self.text_projection = nn.Parameter(torch.randn(config.text_width, config.embed) * config.text_width**-0.5)
        init_transformer(self)
        nn.init.normal_(self.token_embedding.weight, std=0.02)

    def forward(self, ids: Tensor) -> Tensor:
        """The feature of a sentence is the one at its end token, which has the highest id of all."""
        tokens = self.token_embedding(ids) + self.positional_embedding
        tokens = self.ln_final(self.transformer(tokens, causal=True))
        return tokens[torch.arange(len(ids), device=ids.device), ids.argmax(dim=1)] @ self.text_projection
