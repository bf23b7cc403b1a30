"""How much a method's true rate varies from training seed to training seed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmark.report.statistics.crossed import Scope, rest

LARGEST = 0.5
"""Of the standard deviation of a rate: half of the seeds never succeed, the others always."""


@dataclass(frozen=True)
class Spread:
    """Standard deviation over training seeds, in 0..1, with a 95 % interval.

    deviation: 0 where the seeds' rates scatter no more than their rollouts do. between: variance of the seeds' rates;
    rollouts: the part of it that is not retraining; df: of the first.
    """

    deviation: float
    low: float
    high: float
    between: float
    rollouts: float
    df: int


def measured_spread(cells: Sequence[np.ndarray], scope: Scope) -> Spread | None:
    """cells: for each task (seeds, episodes). None where no task has two seeds.

    The variance of the seeds' rates minus that of seed x episode, which retraining did not cause; what is shared by all
    seeds of an episode cancels. Tasks are pooled by their degrees of freedom. With `Scope.JOINT` it is of the mean over
    tasks. The interval is the chi-squared one of the variance of the rates, minus the same; its upper end takes no less
    than the rollouts' part for that variance.
    """
    usable = [np.asarray(values, dtype=np.float64) for values in cells if values.shape[0] > 1 and values.shape[1] > 1]
    if not usable or (scope is Scope.JOINT and len(usable) < len(cells)):
        return None
    noise = [float(rest(v, v.mean(-1), v.mean(-2))) / v.shape[1] for v in usable]
    if scope is Scope.JOINT:
        df = usable[0].shape[0] - 1
        between = float(np.mean([v.mean(-1) for v in usable], axis=0).var(ddof=1))
        return _of(between, sum(noise) / len(noise) ** 2, df)
    return pooled([_of(float(v.mean(-1).var(ddof=1)), e, len(v) - 1) for v, e in zip(usable, noise, strict=True)])


def pooled(spreads: Sequence[Spread]) -> Spread:
    """Of several tasks or methods, weighted by degrees of freedom."""
    df = sum(one.df for one in spreads)
    return _of(
        math.fsum(one.between * one.df for one in spreads) / df,
        math.fsum(one.rollouts * one.df for one in spreads) / df,
        df,
    )


def _of(between: float, rollouts: float, df: int) -> Spread:
    from scipy.special import chdtri

    low = between * df / float(chdtri(df, 0.025))
    # two seeds that happen to be equal prove nothing: the upper end is at least as if they scattered as rollouts do
    high = max(between, rollouts) * df / float(chdtri(df, 0.975))
    deviations = [min(LARGEST, math.sqrt(max(0.0, variance - rollouts))) for variance in (between, low, high)]
    return Spread(deviations[0], deviations[1], deviations[2], between, rollouts, df)
