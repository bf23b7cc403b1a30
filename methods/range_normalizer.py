"""A vector scaled by its range in the training data."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class RangeNormalizer(nn.Module):
    """Each entry's training range to [-1, 1]. An entry that never changes becomes 0."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.low: Tensor
        self.high: Tensor
        self.register_buffer("low", torch.full((size,), -1.0))
        self.register_buffer("high", torch.full((size,), 1.0))

    def fit(self, values: Tensor) -> None:
        self.low.copy_(values.amin(0))
        self.high.copy_(values.amax(0))

    def _scale(self) -> tuple[Tensor, Tensor]:
        half = (self.high - self.low) / 2
        return (self.high + self.low) / 2, torch.where(half < 1e-6, torch.ones_like(half), half)

    def forward(self, values: Tensor) -> Tensor:
        middle, half = self._scale()
        return (values - middle) / half

    def undo(self, values: Tensor) -> Tensor:
        middle, half = self._scale()
        return values * half + middle
