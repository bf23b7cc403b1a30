"""The statistics a table needs. The replication unit is the training seed; rollouts are never put on its axis."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np


def wilson(k: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson interval of a rate: the noise of these n rollouts, and nothing else. (0, 1) for n = 0."""
    if n == 0:
        return 0.0, 1.0
    # scipy.stats has it too, and takes a second to import in every command
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    centre = (k + z * z / 2) / (n + z * z)
    half = z / (n + z * z) * math.sqrt(k * (n - k) / n + z * z / 4)
    return max(0.0, centre - half), min(1.0, centre + half)


def mean(values: list[float]) -> float:
    return math.fsum(values) / len(values)


def mean_interval(counts: list[tuple[int, int]], confidence: float = 0.95) -> tuple[float, float]:
    """Interval of the mean of several tasks' rates: Wilson for one task, else from the tasks' posteriors.

    Each task's rate has the Beta posterior of Jeffreys' prior; quantiles of the mean over 20,000 joint draws from a
    fixed seed. It is the noise of these rollouts alone.
    """
    if len(counts) == 1:
        return wilson(*counts[0], confidence)
    draws = np.random.default_rng(0).beta(
        [k + 0.5 for k, _ in counts], [n - k + 0.5 for k, n in counts], size=(20_000, len(counts))
    )
    low, high = np.quantile(draws.mean(axis=1), [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)
