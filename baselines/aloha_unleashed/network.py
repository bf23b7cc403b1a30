"""Observations to latents, and latents with a noised chunk to the noise in it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from baselines.aloha_unleashed.backbones import make_backbone, map_shape
from baselines.aloha_unleashed.sizes import Size


def sine_positions(rows: int, columns: int, width: int) -> Tensor:
    """(rows * columns, width) float32, row by row: sines and cosines of the row in the first half of the width, of the
    column in the second, wavelengths from 2 pi to 10,000 * 2 pi, the whole map 0 to 2 pi (DETR, Carion et al. 2020).
    """
    half = width // 2
    scale = 10_000 ** (2 * (torch.arange(half) // 2) / half)

    def along(count: int) -> Tensor:
        angle = (torch.arange(1, count + 1) / (count + 1e-6) * 2 * math.pi).unsqueeze(1) / scale
        return torch.where(torch.arange(half) % 2 == 0, angle.sin(), angle.cos())

    y, x = along(rows), along(columns)
    return torch.cat([y.unsqueeze(1).expand(-1, columns, -1), x.unsqueeze(0).expand(rows, -1, -1)], -1).flatten(0, 1)


class ObservationEncoder(nn.Module):
    """Prepared images and further vectors to latents (B, T, width), the vectors' behind those of the maps.

    sizes: height and width of each camera's image, pixels. vectors: width of each further input, such as the state.
    """

    def __init__(
        self,
        size: Size,
        sizes: Sequence[tuple[int, int]],
        vectors: Sequence[int],
        group: bool,
        learned: bool,
        norm_first: bool,
    ) -> None:
        super().__init__()
        width = size.width
        self.backbones = nn.ModuleList(make_backbone(size.depth, size.base, group) for _ in sizes)
        self.project = nn.Linear(self.backbones[0].feature_dim, width)  # type: ignore[arg-type]
        self.vectors = nn.ModuleList(nn.Linear(inputs, width) for inputs in vectors)
        maps = [map_shape(*one) for one in sizes]
        self.cells = [rows * columns for rows, columns in maps]
        count = sum(self.cells) + len(vectors) if learned else len(maps) + len(vectors)
        self.positions = nn.Parameter(torch.randn(count, width) * 0.02)
        self.sine: Tensor | None
        fixed = None if learned else torch.cat([sine_positions(*shape, width) for shape in maps])
        self.register_buffer("sine", fixed, persistent=False)
        layer = nn.TransformerEncoderLayer(width, size.heads, **_layer(size, norm_first))
        norm = nn.LayerNorm(width) if norm_first else None
        self.transformer = nn.TransformerEncoder(layer, size.encoder_layers, norm, enable_nested_tensor=False)
        _draw(self.transformer)

    def forward(self, pictures: Sequence[Tensor], vectors: Sequence[Tensor], further: Tensor | None = None) -> Tensor:
        """pictures: (B, 3, H, W) of each camera; vectors: (B, D) each; further: tokens (B, T, width) with their
        positions, which stand behind the others."""
        maps = [network.tokens(one) for network, one in zip(self.backbones, pictures, strict=True)]  # type: ignore[operator]
        tokens = [self.project(torch.cat(maps, dim=1))]
        tokens += [embed(one).unsqueeze(1) for embed, one in zip(self.vectors, vectors, strict=True)]
        found = torch.cat(tokens, dim=1) + self._positions()
        return self.transformer(found if further is None else torch.cat([found, further], dim=1))

    def _positions(self) -> Tensor:
        """(T, width)."""
        if self.sine is None:
            return self.positions
        repeats = torch.tensor([*self.cells, *(1 for _ in self.vectors)], device=self.sine.device)
        of_source = self.positions.repeat_interleave(repeats, dim=0, output_size=sum(self.cells) + len(self.vectors))
        return of_source + functional.pad(self.sine, (0, 0, 0, len(self.vectors)))


class FurtherTokens(nn.Module):
    """What a representation gives, a feature (B, D) or tokens (B, T, D), as further tokens (B, T, width).

    count: how many learned positions; 0: sines of their order, and one learned vector for all.
    """

    def __init__(self, inputs: int, width: int, count: int) -> None:
        super().__init__()
        self.project = nn.Linear(inputs, width)
        self.learned = count > 0
        self.positions = nn.Parameter(torch.randn(max(1, count), width) * 0.02)

    def forward(self, found: Tensor) -> Tensor:
        tokens = self.project(found if found.dim() == 3 else found.unsqueeze(1))
        if self.learned:
            return tokens + self.positions
        order = sine_positions(1, tokens.shape[1], tokens.shape[2]).to(tokens.device)
        return tokens + self.positions + order


class NoisePredictor(nn.Module):
    """The noise in a chunk of actions, from the chunk, the diffusion step and the observation's latents."""

    def __init__(self, size: Size, chunk: int, action_dim: int, steps: int, added: bool, norm_first: bool) -> None:
        super().__init__()
        width = size.width
        self.steps, self.added = steps, added
        self.embed_action = nn.Linear(action_dim, width)
        self.embed_step = nn.Linear(steps, width)
        self.positions = nn.Parameter(torch.randn(chunk, width) * 0.02)
        layer = nn.TransformerDecoderLayer(width, size.heads, **_layer(size, norm_first))
        norm = nn.LayerNorm(width) if norm_first else None
        self.transformer = nn.TransformerDecoder(layer, size.decoder_layers, norm)
        _draw(self.transformer)
        self.out = nn.Linear(width, action_dim)

    def forward(self, noised: Tensor, step: Tensor, latents: Tensor) -> Tensor:
        """(B, chunk, A), (B,) int64 and (B, T, width) to (B, chunk, A)."""
        one_hot = functional.one_hot(step, self.steps).to(latents.dtype)
        at = self.embed_step(one_hot).unsqueeze(1)
        queries = self.embed_action(noised) + self.positions
        if self.added:
            return self.out(self.transformer(queries + at, latents))
        return self.out(self.transformer(queries, torch.cat([latents, at], dim=1)))


def _layer(size: Size, norm_first: bool) -> dict[str, Any]:
    return {
        "dim_feedforward": size.feed_forward,
        "dropout": size.dropout,
        "batch_first": True,
        "norm_first": norm_first,
    }


def _draw(transformer: nn.Module) -> None:
    """Each layer's weights by themselves: torch copies one layer, and all would begin alike."""
    for parameter in transformer.parameters():
        if parameter.dim() > 1:
            nn.init.xavier_uniform_(parameter)
