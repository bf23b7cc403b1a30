"""The power of the test that `bench compare` makes, before anything is trained."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from benchmark.report.statistics.crossed import Contrast, Scope

DRAWS = 4_000
MOST_SEEDS = 200


@dataclass(frozen=True)
class Setting:
    """Two methods with equally many training seeds. Rates and deviations in 0..1.

    spread: of a task's true rate over training seeds. discordant: share of paired episodes that one of the two alone
    wins. interaction: deviation over episodes of how much better one method is there, which no further seed removes.
    """

    tasks: int
    episodes: int
    spread: float
    discordant: float
    interaction: float
    scope: Scope

    def __post_init__(self) -> None:
        if self.interaction**2 + 2 * self.spread**2 >= self.discordant:
            raise ValueError("interaction and spread alone would make more discordant pairs than there are")


def power(setting: Setting, detect: float, seeds: int, alpha: float = 0.05) -> float:
    """Share of experiments in which a mean difference of `detect` is found. Two seeds or more.

    The mean squares that the test reads are drawn (chi-squared), not the rollouts; 4,000 experiments, fixed random
    seed, so within 0.8 points.
    """
    draw = np.random.default_rng(0)
    n, tasks = setting.episodes, setting.tasks
    groups = tasks if setting.scope is Scope.PER_TASK else 1
    # of the discordant pairs' variance what seed and episode do not explain, one method's half
    rest = (setting.discordant - setting.interaction**2) / 2 - setting.spread**2
    of_group = setting.spread**2 / seeds + rest / (n * seeds) / (tasks / groups)
    shared = setting.interaction**2 / n / tasks
    terms = of_group * draw.chisquare(seeds - 1, (DRAWS, 2 * groups)) / (seeds - 1) / groups**2
    total = terms.sum(1)
    df = np.maximum(total**2 / ((terms**2).sum(1) / (seeds - 1)), seeds - 1)
    estimate = detect + math.sqrt(2 * of_group / groups + shared) * draw.standard_normal(DRAWS)
    floor = shared + 2 * rest / (seeds * n) / tasks
    of_draw = np.ones(DRAWS)
    made = Contrast(estimate, total, df, shared * of_draw, floor * of_draw, seeds, tasks)
    return float(np.mean(np.abs(estimate) > made.of_methods(alpha)))


def seeds_for(setting: Setting, detect: float, wanted: float, alpha: float = 0.05) -> int | None:
    """The fewest training seeds of each method whose power is `wanted`; None if `MOST_SEEDS` do not have it."""
    low, high = 1, 2
    while power(setting, detect, high, alpha) < wanted:
        low, high = high, 2 * high
        if low >= MOST_SEEDS:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if power(setting, detect, middle, alpha) >= wanted else (middle, high)
    return high if high <= MOST_SEEDS else None
