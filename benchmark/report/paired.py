"""Two methods on the same episodes: what differs, by how much, and whether that could be chance.

Only pairs in which exactly one method succeeds tell them apart. Intervals and tests are of these rollouts, given the
policies that were trained; another training seed is another policy.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

from benchmark.report.record import Evaluation


@dataclass(frozen=True)
class Pairs:
    """Of one stratum (a task and a training seed): pairs in all, and those in which only one succeeds."""

    n: int
    first_only: int
    second_only: int


def paired(first: Evaluation, second: Evaluation) -> Pairs:
    """Over the episodes that both could be run on."""
    ours, theirs = ({row[0]: row[1] for row in e.episodes if row[3] is None} for e in (first, second))
    shared = sorted(set(ours) & set(theirs))
    return Pairs(
        len(shared), sum(ours[s] > theirs[s] for s in shared), sum(ours[s] < theirs[s] for s in shared)
    )  # fmt: skip


def exact_mcnemar(strata: Sequence[Pairs]) -> float:
    """Two-sided exact p: under no difference every discordant pair, of whichever stratum, is a fair coin.

    Conditional on each stratum's number of discordant pairs their sum is binomial with one half, so strata never
    lend each other their rates (McNemar 1947; Agresti 2013, section 11.1).
    """
    first, second = sum(s.first_only for s in strata), sum(s.second_only for s in strata)
    total, fewer = first + second, min(first, second)
    tail = sum(math.comb(total, k) for k in range(fewer + 1))
    return float(min(1.0, 2 * tail / 2**total))


def difference(strata: Sequence[Pairs], confidence: float = 0.95) -> tuple[float, float, float]:
    """Mean over strata of the difference of rates, and its interval.

    Agresti and Min (2005): half a pair is added to each cell of the table before the usual variance; over several
    strata it is shared among them, or fifteen tasks would be smoothed fifteen times. By simulation within 2 points of
    nominal; 3 below it for a single task where both methods nearly always succeed.
    """
    estimate = math.fsum((s.first_only - s.second_only) / s.n for s in strata) / len(strata)
    middle, variance, added = 0.0, 0.0, 0.5 / len(strata)
    for s in strata:
        n, b, c = s.n + 4 * added, s.first_only + added, s.second_only + added
        middle += (b - c) / n
        variance += ((b + c) - (b - c) ** 2 / n) / n**2
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    half = z * math.sqrt(variance) / len(strata)
    middle /= len(strata)
    return estimate, max(-1.0, middle - half), min(1.0, middle + half)


def difference_in_difference(strata: Sequence[Sequence[int]], confidence: float = 0.95) -> tuple[float, float, float]:
    """Mean over strata of the mean of paired values in -2..2, and its interval.

    A value is one episode's (first plain - first shifted) - (second plain - second shifted), successes as 0 and 1.
    Normal, from the spread of the values within each stratum, to which one of either sign is added and shared out over
    the strata, so that a stratum without any spread is not taken for certain. By simulation within 2 points of nominal.
    """
    estimate, variance, added = 0.0, 0.0, 1 / len(strata)
    for values in strata:
        n = len(values) + 2 * added
        mean = sum(values) / n
        variance += (sum(v * v for v in values) + 2 * added - n * mean**2) / n**2
        estimate += sum(values) / len(values)
    estimate /= len(strata)
    half = NormalDist().inv_cdf((1 + confidence) / 2) * math.sqrt(variance) / len(strata)
    return estimate, max(-2.0, estimate - half), min(2.0, estimate + half)


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p in the given order: the family-wise error is kept whatever the tests' dependence (Holm 1979)."""
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = largest
    return adjusted


def e_value(first_only: int, second_only: int) -> float:
    """Evidence against a fair coin that may be looked at after every pair: stop when it reaches 1 / alpha.

    A Beta(1/2, 1/2) mixture of likelihood ratios; under no difference it is a martingale from 1, so it ever reaches
    1 / alpha with a probability of at most alpha (Ville 1939).
    """
    half = 0.5
    log = (
        math.lgamma(first_only + half) + math.lgamma(second_only + half) - math.lgamma(first_only + second_only + 1)
        - 2 * math.lgamma(half) + (first_only + second_only) * math.log(2)
    )  # fmt: skip
    return math.exp(min(log, 700.0))


def probability_of_improvement(first: Sequence[Sequence[float]], second: Sequence[Sequence[float]]) -> float:
    """That a run of the first beats one of the second on a task, mean over tasks, ties halved (Agarwal et al. 2021).

    first, second: for each task the rates of its training runs.
    """
    shares = []
    for ours, theirs in zip(first, second, strict=True):
        wins = sum((a > b) + 0.5 * (a == b) for a in ours for b in theirs)
        shares.append(wins / (len(ours) * len(theirs)))
    return math.fsum(shares) / len(shares)


def seeds_needed(detect: float, tasks: int, rollouts: int, discordant: float, spread: float, power: float = 0.8,
                 alpha: float = 0.05) -> int:  # fmt: skip
    """Training seeds with which a mean difference of `detect` over `tasks` tasks is found with `power`.

    rollouts: paired ones, for each task and seed. discordant: share of pairs in which one method alone succeeds.
    spread: deviation of one task's true rate over training seeds. Rates and differences in 0..1; normal approximation.
    """
    normal = NormalDist()
    needed = (normal.inv_cdf(1 - alpha / 2) + normal.inv_cdf(power)) ** 2
    variance = (discordant / rollouts + 2 * spread**2) / tasks
    return max(1, math.ceil(needed * variance / detect**2))
