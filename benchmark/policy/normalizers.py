"""Actions and proprioception scaled by their range in the training data, or part by part as a protocol says."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from envs.spec import ActionSpec


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


class ActionScaler(RangeNormalizer):
    """Each part of an action in its own way: `range`, `standardize` or `none` by its name."""

    def __init__(self, action: ActionSpec, modes: Mapping[str, str]) -> None:
        super().__init__(action.size)
        self.action, self.modes = action, dict(modes)

    def fit(self, values: Tensor) -> None:
        super().fit(values)
        for part in self.action.all_parts:
            mode, own = self.modes[part.name], values[:, part.slice]
            if mode == "none":
                self.low[part.slice], self.high[part.slice] = -1.0, 1.0
            elif mode == "standardize":
                mean, spread = own.mean(0), own.std(0, correction=0)
                self.low[part.slice], self.high[part.slice] = mean - spread, mean + spread
