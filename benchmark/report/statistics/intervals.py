"""The statistics a table needs. The replication unit is the training seed; rollouts are never put on its axis."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import NormalDist

import numpy as np

from benchmark.report.statistics.quantiles import normal, student


def wilson(k: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson interval of a rate: the noise of these n rollouts, and nothing else. (0, 1) for n = 0."""
    if n == 0:
        return 0.0, 1.0
    # scipy.stats has it too, and takes a second to import in every command
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    centre = (k + z * z / 2) / (n + z * z)
    half = z / (n + z * z) * math.sqrt(k * (n - k) / n + z * z / 4)
    return max(0.0, centre - half), min(1.0, centre + half)


def mean(values: Sequence[float]) -> float:
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


def expected_best(rate: float, evaluations: int, rollouts: int) -> float:
    """Mean of the highest of `evaluations` success rates, each of `rollouts` episodes at the same true `rate`."""
    below, total = 0.0, 0.0  # P(one evaluation has at most k), sum of P(max > k)
    for k in range(rollouts):
        below += math.comb(rollouts, k) * rate**k * (1 - rate) ** (rollouts - k)
        total += 1 - min(1.0, below) ** evaluations
    return total / rollouts


def inflation(rate: float, evaluations: int, rollouts: int) -> float:
    """Selection bias of best* for a policy whose true rate never changes: what choosing the best evaluation gives."""
    return expected_best(rate, evaluations, rollouts) - rate


def iqm(values: Sequence[float]) -> float:
    """Interquartile mean: the lowest and the highest quarter are left out (Agarwal et al. 2021)."""
    ordered = sorted(values)
    cut = len(ordered) // 4
    return mean(ordered[cut : len(ordered) - cut])


FEW_SEEDS = 3
"""With fewer training seeds of any task their spread is not known, and an interval is of the rollouts alone."""


def iqm_interval(
    runs: Mapping[str, Sequence[tuple[int, int]]],
    shared: Mapping[str, float],
    joint: bool = False,
    confidence: float = 0.95,
) -> tuple[float, float, bool]:
    """Interval of the IQM over all tasks' runs, and whether training seeds are in it.

    runs: task -> (k, n) of each training seed. With three seeds or more they are drawn again within each task
    (stratified bootstrap; of a joint policy the same seeds in every task, which come in the same order), their
    deviations widened by sqrt(s / (s - 1)) and for Student's t, or few seeds would seem surer than they are; with
    fewer, each run's rate is drawn from its Jeffreys posterior. shared: task -> variance that the episodes which all
    its seeds play add to their mean; no draw of seeds shows it, so it is added. 4,000 draws, fixed seed.
    """
    draw, draws = np.random.default_rng(0), 4_000
    rates = [np.array([k / n for k, n in of_task]) for of_task in runs.values()]
    by_seed = min(len(r) for r in rates) >= FEW_SEEDS
    if by_seed:
        freedom = min(len(r) - 1 for r in rates) if joint else sum(len(r) - 1 for r in rates) / 2  # half of them enter
        wider = float(student(freedom, 1 - confidence) / normal(1 - confidence))
        parts = []
        chosen = draw.integers(0, len(rates[0]), (draws, len(rates[0])))
        for r in rates:
            again = r[chosen if joint else draw.integers(0, len(r), (draws, len(r)))]
            parts.append(r.mean() + wider * math.sqrt(len(r) / (len(r) - 1)) * (again - r.mean()))
    else:
        parts = [np.column_stack([draw.beta(k + 0.5, n - k + 0.5, draws) for k, n in of]) for of in runs.values()]
    episodes = [math.sqrt(shared.get(task, 0.0)) * draw.standard_normal((draws, 1)) for task in runs]
    parts = [part + own for part, own in zip(parts, episodes, strict=True)]
    ordered = np.sort(np.concatenate(parts, axis=1), axis=1)
    cut = ordered.shape[1] // 4
    low, high = np.quantile(
        ordered[:, cut : ordered.shape[1] - cut].mean(1), [(1 - confidence) / 2, (1 + confidence) / 2]
    )
    return max(0.0, float(low)), min(1.0, float(high)), by_seed


def kendall_tau(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Agreement of two rankings of the same methods, -1..1, ties as in tau-b; None where one of them is flat."""
    pairs = [(a, b) for a in range(len(first)) for b in range(a)]
    x = [(first[a] > first[b]) - (first[a] < first[b]) for a, b in pairs]
    y = [(second[a] > second[b]) - (second[a] < second[b]) for a, b in pairs]
    scale = math.sqrt(sum(v * v for v in x) * sum(v * v for v in y))
    return sum(a * b for a, b in zip(x, y, strict=True)) / scale if scale else None
