"""Actions scaled part by part, as a protocol says."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from envs.spec import ActionSpec
from methods.range_normalizer import RangeNormalizer


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
