"""The statistics a table needs. The replication unit is the training seed; rollouts are never put on its axis."""

from __future__ import annotations

import math

from scipy.stats import binomtest


def wilson(k: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson interval of a rate: the noise of these n rollouts, and nothing else. (0, 1) for n = 0."""
    if n == 0:
        return 0.0, 1.0
    interval = binomtest(k, n).proportion_ci(confidence, method="wilson")
    return float(interval.low), float(interval.high)


def mean(values: list[float]) -> float:
    return math.fsum(values) / len(values)
