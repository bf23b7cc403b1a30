"""A mean, a difference or a difference in difference of methods whose training seeds play the same episodes.

Seeds and episodes are crossed: a rollout's value is the method's mean + its seed's effect + the episode's effect
(shared by all seeds) + the rest. The variance of an estimate is that of the seeds' means, which few seeds estimate and
Student's t pays for, and that of the episodes, which many episodes estimate. The rest is in both, and is taken out of
the second once (two-way clustered variance: Cameron, Gelbach and Miller 2011; degrees of freedom: Welch 1947,
Satterthwaite 1946). The sum is never taken for less than the noise of the episodes alone, which is the answer about
the checkpoints. Proven by simulation: docs/statistics.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np

from benchmark.report.statistics.quantiles import Array, beyond_normal, normal, student

LEAST_P = 1e-12
"""A smaller p is given as this one: no model holds that far out."""


class Scope(Enum):
    """What one training seed is the seed of."""

    PER_TASK = "one policy for each task"
    JOINT = "one policy for all tasks"


@dataclass(frozen=True)
class Contrast:
    """A weighted sum of methods' means. Arrays of the batch's shape; () for one data set.

    seed_variance, df: of the estimate through the seeds' means, nan where a cell has one seed. shared_variance: what
    the episodes add. episode_variance: of the estimate over other episodes with the same checkpoints. fewest: training
    seeds of the method (and task) that has the fewest. tasks: that were averaged.
    """

    estimate: Array
    seed_variance: Array
    df: Array
    shared_variance: Array
    episode_variance: Array
    fewest: int
    tasks: int

    def of_methods(self, alpha: float | Array = 0.05) -> Array:
        """Half width of the interval over retrainings and episodes. Raises ValueError with one training seed."""
        if self.fewest < 2:
            raise ValueError("one training seed says nothing about retraining")
        z = normal(alpha) ** 2
        crossed = student(self.df, alpha) ** 2 * self.seed_variance + z * self.shared_variance
        return np.sqrt(np.maximum(crossed, z * self.episode_variance))

    def of_checkpoints(self, alpha: float | Array = 0.05) -> Array:
        """Half width of the interval over episodes, the trained policies as they are."""
        return normal(alpha) * np.sqrt(self.episode_variance)

    def p_of_methods(self) -> Array:
        """The alpha whose half width ends at zero, by bisection of its logarithm; at least `LEAST_P`."""
        distance = np.abs(self.estimate)
        low, high = np.full_like(distance, np.log(LEAST_P)), np.zeros_like(distance)
        for _ in range(45):
            middle = (low + high) / 2
            inside = distance <= self.of_methods(np.exp(middle))
            low, high = np.where(inside, middle, low), np.where(inside, high, middle)
        return np.exp(high)

    def p_of_checkpoints(self) -> Array:
        return np.maximum(LEAST_P, beyond_normal(self.estimate / np.sqrt(self.episode_variance)))


def contrast(arms: Sequence[Sequence[np.ndarray]], weights: Sequence[float], scope: Scope) -> Contrast:
    """weights: one for each arm, [1] for a mean, [1, -1] for a difference.

    arms: for each method and task the values (..., seeds, episodes), equally many episodes in all arms of a task, in
    the same order; two or more. Seeds may differ in number, and their order says nothing: seeds of two methods are
    unrelated. With `Scope.JOINT` those of one method are the same in all tasks. Raises ValueError.

    Half a pseudo-pair of episodes of either sign is added to the episodes' variance, so that methods which always
    succeed are not taken for certain.
    """
    estimate: Array = np.zeros(())
    episodes: Array = np.zeros(())
    residual: Array = np.zeros(())
    terms: list[tuple[Array, int]] = []  # variance of the estimate through one set of seeds, and its df
    over_tasks: list[list[Array]] = [[] for _ in arms]
    tasks = len(arms[0])
    fewest = min(values.shape[-2] for cells in arms for values in cells)
    for cells in zip(*arms, strict=True):
        n = cells[0].shape[-1]
        if n < 2 or any(values.shape[-1] != n for values in cells):
            raise ValueError("every arm of a task needs the same two or more episodes")
        together: Array = np.zeros(())
        pseudo = 0.0
        for arm, (weight, given) in enumerate(zip(weights, cells, strict=True)):
            values = np.asarray(given, dtype=np.float64)
            s = values.shape[-2]
            by_seed, by_episode = values.mean(-1), values.mean(-2)
            together = together + weight * by_episode
            estimate = estimate + weight * by_seed.mean(-1) / tasks
            pseudo += 0.5 * weight**2 / s / (n * (n - 1))
            over_tasks[arm].append(by_seed)
            if fewest < 2:
                continue
            residual = residual + weight**2 * rest(values, by_seed, by_episode) / (s * n) / tasks**2
            if scope is Scope.PER_TASK:
                terms.append((weight**2 * by_seed.var(-1, ddof=1) / s / tasks**2, s - 1))
        episodes = episodes + (together.var(-1, ddof=1) / n + pseudo) / tasks**2
    if fewest < 2:
        none = np.full_like(estimate, np.nan)
        return Contrast(estimate, none, none, none, episodes, fewest, tasks)
    if scope is Scope.JOINT:
        for weight, seeds in zip(weights, over_tasks, strict=True):
            if len({one.shape[-1] for one in seeds}) > 1:
                raise ValueError("a joint policy's training seeds must be the same in every task")
            s = seeds[0].shape[-1]
            terms.append((weight**2 * np.mean(seeds, axis=0).var(-1, ddof=1) / s, s - 1))
    total = sum((v for v, _ in terms), np.zeros(()))
    square = sum((v**2 / df for v, df in terms), np.zeros(()))
    least = min(df for _, df in terms)
    degrees = np.maximum(np.divide(total**2, square, out=np.full_like(total, least), where=square > 0), least)
    return Contrast(estimate, total, degrees, np.maximum(episodes - residual, 0.0), episodes, fewest, tasks)


def rest(values: Array, by_seed: Array, by_episode: Array) -> Array:
    """Mean square of seed x episode: what neither the seed nor the episode explains."""
    s, n = values.shape[-2:]
    mean = by_seed.mean(-1)
    squares = np.square(values).sum((-1, -2)) - n * np.square(by_seed).sum(-1)
    squares = squares - s * np.square(by_episode).sum(-1) + s * n * mean**2
    return np.maximum(squares, 0.0) / ((s - 1) * (n - 1))
