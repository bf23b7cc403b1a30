"""Networks that say what is noise in a chunk of actions: a transformer over tokens, and DP3's U-Net.

Both map (noised (B, k, A), step (B,) int64, memory (B, T, D)) to (B, k, A). memory is the observation as tokens.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmark.settings.head import DiffusionConfig


class TransformerDenoiser(nn.Module):
    """Encoder over observation tokens, decoder over the chunk that attends to them (after ALOHA Unleashed).

    As CLAMP describes its policy (section III-E): the diffusion step enters one-hot, as one more token of the memory;
    the chunk's positions are learned.
    """

    def __init__(self, config: DiffusionConfig, action_dim: int) -> None:
        super().__init__()
        width = config.width
        self.steps = config.train_steps
        self.embed_step = nn.Linear(config.train_steps, width)
        self.embed_action = nn.Linear(action_dim, width)
        self.positions = nn.Parameter(torch.randn(1, config.chunk, width) * 0.02)
        options: dict[str, Any] = {
            "dim_feedforward": 4 * width,
            "dropout": config.dropout,
            "batch_first": True,
            "norm_first": True,
        }
        encoder = nn.TransformerEncoderLayer(width, config.heads, **options)
        decoder = nn.TransformerDecoderLayer(width, config.heads, **options)
        self.encoder = nn.TransformerEncoder(encoder, config.encoder_layers, enable_nested_tensor=False)
        self.decoder = nn.TransformerDecoder(decoder, config.decoder_layers, nn.LayerNorm(width))
        self.out = nn.Linear(width, action_dim)

    def forward(self, noised: Tensor, step: Tensor, memory: Tensor) -> Tensor:
        one_hot = functional.one_hot(step, self.steps).to(memory.dtype)
        memory = self.encoder(torch.cat([memory, self.embed_step(one_hot).unsqueeze(1)], dim=1))
        return self.out(self.decoder(self.embed_action(noised) + self.positions, memory))


class FiLMBlock(nn.Module):
    """Two convolutions over time; the condition scales and shifts what is between them."""

    def __init__(self, inputs: int, outputs: int, condition: int, kernel: int, groups: int) -> None:
        super().__init__()
        self.first = _convolution(inputs, outputs, kernel, groups)
        self.second = _convolution(outputs, outputs, kernel, groups)
        self.modulate = nn.Sequential(nn.Mish(), nn.Linear(condition, 2 * outputs))
        self.skip = nn.Conv1d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, values: Tensor, condition: Tensor) -> Tensor:
        scale, shift = self.modulate(condition).unsqueeze(-1).chunk(2, dim=1)
        return self.second(scale * self.first(values) + shift) + self.skip(values)


class Level(nn.Module):
    """Two blocks, and a change of the time resolution after them."""

    def __init__(self, first: FiLMBlock, second: FiLMBlock, resize: nn.Module) -> None:
        super().__init__()
        self.first, self.second, self.resize = first, second, resize

    def forward(self, values: Tensor, condition: Tensor) -> Tensor:
        return self.second(self.first(values, condition), condition)


class UNetDenoiser(nn.Module):
    """The conditional 1-D U-Net of Diffusion Policy as DP3 uses it: the memory, flattened, is a global condition."""

    def __init__(self, config: DiffusionConfig, action_dim: int, condition: int) -> None:
        super().__init__()
        self.embed = size = config.step_embedding
        self.step = nn.Sequential(nn.Linear(size, 4 * size), nn.Mish(), nn.Linear(4 * size, size))
        options = (condition + size, config.kernel, config.groups)
        pairs = list(pairwise((action_dim, *config.channels)))
        self.down = nn.ModuleList(
            Level(
                FiLMBlock(a, b, *options),
                FiLMBlock(b, b, *options),
                nn.Conv1d(b, b, 3, 2, 1) if index < len(pairs) - 1 else nn.Identity(),
            )
            for index, (a, b) in enumerate(pairs)
        )
        last, first = config.channels[-1], config.channels[0]
        self.middle = nn.ModuleList([FiLMBlock(last, last, *options) for _ in range(2)])
        self.up = nn.ModuleList(
            Level(FiLMBlock(2 * b, a, *options), FiLMBlock(a, a, *options), nn.ConvTranspose1d(a, a, 4, 2, 1))
            for a, b in reversed(pairs[1:])
        )
        self.out = nn.Sequential(
            _convolution(first, first, config.kernel, config.groups), nn.Conv1d(first, action_dim, 1)
        )

    def forward(self, noised: Tensor, step: Tensor, memory: Tensor) -> Tensor:
        condition = torch.cat([self.step(_sinusoid(step, self.embed)), memory.flatten(1)], dim=1)
        values = noised.transpose(1, 2)
        skips: list[Tensor] = []
        for level in self.down:
            values = level(values, condition)
            skips.append(values)
            values = level.resize(values)  # type: ignore[operator]
        for block in self.middle:
            values = block(values, condition)
        for level in self.up:
            values = level(torch.cat([values, skips.pop()], dim=1), condition)
            values = level.resize(values)  # type: ignore[operator]
        return self.out(values).transpose(1, 2)


def _convolution(inputs: int, outputs: int, kernel: int, groups: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv1d(inputs, outputs, kernel, padding=kernel // 2), nn.GroupNorm(groups, outputs), nn.Mish()
    )


def _sinusoid(step: Tensor, size: int) -> Tensor:
    half = size // 2
    rate = torch.exp(torch.arange(half, device=step.device) * -(math.log(10_000) / (half - 1)))
    angle = step.unsqueeze(1) * rate
    return torch.cat([angle.sin(), angle.cos()], dim=1)
