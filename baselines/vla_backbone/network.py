"""Two transformers that share their attention: one for images and instruction, one for state and actions.

The blocks are Gemma's (RMS norm, gated GELU, rotary positions, one key and value for all heads). Images and
instruction attend to each other; the state to them and itself; actions to everything. So what the first transformer
computes does not depend on the second's input, and is computed once for all steps of sampling.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from baselines.vla_backbone.sizes import Expert, Size
from methods.networks.vit import Block, PatchEmbed, init_transformer

Cache = list[tuple[Tensor, Tensor]]
"""Of each layer, keys and values (B, 1, T, head_dim)."""


class Vision(nn.Module):
    """Pictures (B, 3, size, size) to tokens (B, T, width of the backbone), as SigLIP's encoder without pooling."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        width, tokens = size.vision_width, (size.picture // size.patch) ** 2
        self.patch_embed = PatchEmbed(3, size.patch, width)
        self.pos_embed = nn.Parameter(torch.zeros(1, tokens, width))
        self.blocks = nn.ModuleList(
            Block(width, size.vision_heads, hidden=size.vision_hidden, gelu="tanh") for _ in range(size.vision_depth)
        )
        self.norm = nn.LayerNorm(width, 1e-6)
        self.head = nn.Linear(width, size.backbone.width)
        init_transformer(self)

    def forward(self, pictures: Tensor) -> Tensor:
        tokens = self.patch_embed(pictures) + self.pos_embed
        for block in self.blocks:
            tokens = block(tokens)
        return self.head(self.norm(tokens))


class RMSNorm(nn.Module):
    """Divided by the root of the mean square, times 1 + weight."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(width))

    def forward(self, tokens: Tensor) -> Tensor:
        spread = tokens.float().square().mean(-1, keepdim=True)
        return (tokens.float() * torch.rsqrt(spread + 1e-6) * (1 + self.weight.float())).to(tokens.dtype)


class Layer(nn.Module):
    """One transformer's part of a layer."""

    def __init__(self, expert: Expert, heads: int, head_dim: int) -> None:
        super().__init__()
        width, self.heads, self.head_dim = expert.width, heads, head_dim
        self.before_attention, self.before_mlp = RMSNorm(width), RMSNorm(width)
        self.queries = nn.Linear(width, heads * head_dim, bias=False)
        self.keys, self.values = nn.Linear(width, head_dim, bias=False), nn.Linear(width, head_dim, bias=False)
        self.out = nn.Linear(heads * head_dim, width, bias=False)
        self.gate, self.up = nn.Linear(width, expert.hidden, bias=False), nn.Linear(width, expert.hidden, bias=False)
        self.down = nn.Linear(expert.hidden, width, bias=False)

    def forward(
        self, tokens: Tensor, before: tuple[Tensor, Tensor] | None, mask: Tensor | None, first: int
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """(B, T, width) to the same, and its own keys and values.

        before: keys and values of tokens in front of these. mask: (T, S) bool, what may be attended to; None: all.
        first: the position of the first of these tokens.
        """
        x = self.before_attention(tokens)
        queries = rotated(self.queries(x).unflatten(-1, (self.heads, self.head_dim)).transpose(1, 2), first)
        keys, values = rotated(self.keys(x).unsqueeze(1), first), self.values(x).unsqueeze(1)
        own = keys, values
        if before is not None:
            keys, values = (torch.cat([old, new], dim=2) for old, new in zip(before, own, strict=True))
        keys, values = (one.expand(-1, self.heads, -1, -1) for one in (keys, values))
        mixed = functional.scaled_dot_product_attention(queries, keys, values, attn_mask=mask)
        tokens = tokens + self.out(mixed.transpose(1, 2).flatten(2))
        x = self.before_mlp(tokens)
        return tokens + self.down(functional.gelu(self.gate(x), approximate="tanh") * self.up(x)), own


class Transformer(nn.Module):
    """All layers of one of the two."""

    def __init__(self, expert: Expert, size: Size) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Layer(expert, size.heads, size.head_dim) for _ in range(size.depth))
        self.norm = RMSNorm(expert.width)
        for layer in self.modules():
            if isinstance(layer, nn.Linear):  # LeCun's, as Gemma's in openpi
                nn.init.trunc_normal_(layer.weight, std=1 / math.sqrt(layer.in_features))

    def forward(
        self, tokens: Tensor, before: Cache | None = None, mask: Tensor | None = None, first: int = 0
    ) -> tuple[Tensor, Cache]:
        """As `Layer.forward`, with the last norm, and the keys and values of every layer."""
        cache: Cache = []
        for number, layer in enumerate(self.layers):
            tokens, own = layer(tokens, before[number] if before is not None else None, mask, first)
            cache.append(own)
        return self.norm(tokens), cache


def rotated(heads: Tensor, first: int) -> Tensor:
    """(B, H, T, D): rotary positions from `first` on, halves of a head as pairs, wavelengths up to 10,000 * 2 pi."""
    half = heads.shape[-1] // 2
    rate = 10_000 ** (-torch.arange(half, device=heads.device, dtype=torch.float32) / half)
    angle = (first + torch.arange(heads.shape[2], device=heads.device, dtype=torch.float32)).unsqueeze(1) * rate
    a, b = heads.float().chunk(2, dim=-1)
    turned = torch.cat([a * angle.cos() - b * angle.sin(), b * angle.cos() + a * angle.sin()], dim=-1)
    return turned.to(heads.dtype)


def time_features(time: Tensor, width: int) -> Tensor:
    """(B,) in 0..1 to (B, width): sines, then cosines, of periods from 0.004 to 4."""
    share = torch.linspace(0, 1, width // 2, device=time.device)
    angle = time.unsqueeze(1) * (2 * math.pi / (4e-3 * 1e3**share))
    return torch.cat([angle.sin(), angle.cos()], dim=1)


class ActionExpert(nn.Module):
    """The velocity of a noised chunk under state, time and what the backbone has kept of the observation."""

    def __init__(self, size: Size, state: int, action_dim: int) -> None:
        super().__init__()
        width = size.action.width
        self.embed_state, self.embed_action = nn.Linear(state, width), nn.Linear(action_dim, width)
        self.mix_in, self.mix_out = nn.Linear(2 * width, width), nn.Linear(width, width)
        self.transformer = Transformer(size.action, size)
        self.out = nn.Linear(width, action_dim)

    def forward(self, noised: Tensor, time: Tensor, state: Tensor, seen: Cache) -> Tensor:
        """(B, chunk, A), (B,) of which 1 is noise, and (B, S) to (B, chunk, A)."""
        chunk, before = noised.shape[1], seen[0][0].shape[2]
        actions = self.embed_action(noised)
        at = time_features(time, actions.shape[-1]).to(actions.dtype).unsqueeze(1).expand(-1, chunk, -1)
        actions = self.mix_out(functional.silu(self.mix_in(torch.cat([actions, at], dim=-1))))
        mask = torch.ones(1 + chunk, before + 1 + chunk, dtype=torch.bool, device=noised.device)
        mask[0, before + 1 :] = False  # the state does not see the actions
        tokens = torch.cat([self.embed_state(state).unsqueeze(1).to(actions.dtype), actions], dim=1)
        found, _ = self.transformer(tokens, seen, mask, before)
        return self.out(found[:, 1:])
