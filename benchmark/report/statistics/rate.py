"""Interval of one method's mean success rate, which must stay within 0 and 1."""

from __future__ import annotations

import numpy as np

from benchmark.report.statistics.crossed import Contrast
from benchmark.report.statistics.quantiles import Array


def within_0_and_1(rate: Array | float, half: Array, rollouts: int) -> tuple[Array, Array]:
    """The half width, moved to the arcsine scale about a rate with half a success added: low, high.

    rollouts: of all seeds and tasks. On that scale a rate's noise does not depend on the rate, so 298 of 300 does not
    end beyond 1, and 300 of 300 is not taken for certain.
    """
    middle = (np.asarray(rate) * rollouts + 0.5) / (rollouts + 1)
    angle = np.arcsin(np.sqrt(middle))
    wide = half / (2 * np.sqrt(middle * (1 - middle)))
    low = np.sin(np.clip(angle - wide, 0, np.pi / 2)) ** 2
    high = np.sin(np.clip(angle + wide, 0, np.pi / 2)) ** 2
    return np.minimum(low, rate), np.maximum(high, rate)


def rate_interval(mean: Contrast, rollouts: int, alpha: float = 0.05) -> tuple[Array, Array]:
    """Over retrainings and episodes. mean: a contrast with the one weight 1. Raises ValueError with one seed."""
    return within_0_and_1(mean.estimate, mean.of_methods(alpha), rollouts)
