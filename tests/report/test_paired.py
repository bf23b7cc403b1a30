"""Paired statistics against scipy, closed forms and simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from benchmark.report.statistics.paired import Pairs, difference, exact_mcnemar, probability_of_improvement


def test_mcnemar_is_the_binomial_test_on_discordant_pairs() -> None:
    for b, c in [(0, 0), (1, 0), (7, 7), (12, 3), (3, 12), (40, 61), (0, 9)]:
        expected = stats.binomtest(b, b + c, 0.5).pvalue if b + c else 1.0
        assert exact_mcnemar([Pairs(100, b, c)]) == pytest.approx(expected, rel=1e-9)
    split = [Pairs(50, 5, 1), Pairs(50, 4, 2), Pairs(50, 3, 0)]
    assert exact_mcnemar(split) == pytest.approx(stats.binomtest(12, 15, 0.5).pvalue)


def test_strata_do_not_lend_each_other_their_rates() -> None:
    """Simpson: one task where both nearly always succeed and one where both fail must not look like a difference."""
    rng = np.random.default_rng(0)
    rejected = 0
    for _ in range(2000):
        strata = []
        for rate in (0.95, 0.3, 0.05):
            one, other = rng.random((2, 100)) < rate
            strata.append(Pairs(100, int((one & ~other).sum()), int((other & ~one).sum())))
        rejected += exact_mcnemar(strata) <= 0.05
    assert rejected / 2000 <= 0.05 + 0.01


@pytest.mark.parametrize(
    "rates", [[(0.5, 0.5)], [(0.9, 0.7)], [(0.95, 0.9), (0.3, 0.5), (0.6, 0.6)], [(0.99, 0.97)] * 4]
)
def test_the_interval_covers_what_it_says(rates: list[tuple[float, float]]) -> None:
    """Within 2 points of 95 % over 2,000 draws, episodes being alike for both methods."""
    rng = np.random.default_rng(1)
    truth = float(np.mean([a - b for a, b in rates]))
    hit = 0
    for _ in range(2000):
        strata = []
        for a, b in rates:
            hard = rng.random(100)  # the same episode is hard for both
            mixed = np.where(rng.random(100) < 0.5, hard, rng.random(100))
            one, other = hard < a, mixed < b
            strata.append(Pairs(100, int((one & ~other).sum()), int((other & ~one).sum())))
        _, low, high = difference(strata)
        hit += low <= truth <= high
    assert abs(hit / 2000 - 0.95) <= 0.02, hit / 2000


def test_the_difference_is_the_mean_over_tasks() -> None:
    value, low, high = difference([Pairs(100, 30, 10), Pairs(50, 0, 5)])
    assert value == pytest.approx((0.2 - 0.1) / 2) and low < value < high
    swapped = difference([Pairs(100, 10, 30), Pairs(50, 5, 0)])
    assert swapped == pytest.approx((-value, -high, -low))
    assert difference([Pairs(10, 0, 0)])[0] == 0


def test_probability_of_improvement_counts_runs() -> None:
    assert probability_of_improvement([[0.9, 0.5]], [[0.7, 0.5]]) == (1 + 1 + 0 + 0.5) / 4
    assert probability_of_improvement([[1], [0]], [[0], [1]]) == 0.5
