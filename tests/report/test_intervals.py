"""Statistics against closed forms, scipy, and what happens in thousands of draws."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats as scipy_stats

from benchmark.report.statistics.crossed import Scope, contrast
from benchmark.report.statistics.intervals import (
    expected_best,
    inflation,
    iqm,
    iqm_interval,
    kendall_tau,
    mean_interval,
    wilson,
)
from tests.simulations.policies import play

DRAWS = 2_000


@pytest.mark.parametrize(("rate", "points"), [(0.5, 17.2), (0.7, 15.1), (0.8, 12.7), (0.9, 8.7)])
def test_the_best_of_fifteen_looks_overstates_by_what_simulation_gives(rate: float, points: float) -> None:
    """In closed form, beside 15 evaluations of 25 rollouts drawn 40,000 times."""
    assert 100 * inflation(rate, 15, 25) == pytest.approx(points, abs=0.05)
    looks = np.random.default_rng(1).binomial(25, rate, (40_000, 15)).max(1) / 25
    assert expected_best(rate, 15, 25) == pytest.approx(looks.mean(), abs=0.002)


def test_one_look_overstates_nothing_and_certainty_cannot() -> None:
    assert inflation(0.37, 1, 25) == pytest.approx(0, abs=1e-12)
    assert inflation(1.0, 15, 25) == 0 and inflation(0.0, 15, 25) == 0


def test_the_interquartile_mean_is_scipys() -> None:
    draw = np.random.default_rng(2)
    for count in (1, 2, 3, 4, 7, 15, 45):
        values = draw.random(count).tolist()
        assert iqm(values) == pytest.approx(scipy_stats.trim_mean(values, 0.25))


def test_kendalls_tau_is_scipys_with_ties_too() -> None:
    draw = np.random.default_rng(3)
    for _ in range(50):
        a, b = draw.integers(0, 5, (2, 7)).tolist()
        wanted = scipy_stats.kendalltau(a, b).statistic
        found = kendall_tau(a, b)
        assert (found is None and np.isnan(wanted)) or found == pytest.approx(wanted)
    assert kendall_tau([1, 1], [1, 2]) is None and kendall_tau([1, 2, 3], [3, 2, 1]) == -1


def test_one_rates_interval_is_scipys_and_covers() -> None:
    for k, n in ((0, 25), (20, 25), (100, 100), (3, 7)):
        wanted = scipy_stats.binomtest(k, n).proportion_ci(method="wilson")
        assert wilson(k, n) == pytest.approx((wanted.low, wanted.high))
    for rate in (0.5, 0.8):
        drawn = np.random.default_rng(4).binomial(100, rate, DRAWS)
        assert _share(low <= rate <= high for low, high in (wilson(int(k), 100) for k in drawn)) == pytest.approx(
            0.95, abs=0.02
        )


@pytest.mark.slow
def test_a_means_interval_covers() -> None:
    draw = np.random.default_rng(5)
    rates = draw.beta(2, 1, 15)
    found = [mean_interval([(int(k), 100) for k in draw.binomial(100, rates)]) for _ in range(400)]
    assert _share(low <= rates.mean() <= high for low, high in found) == pytest.approx(0.95, abs=0.025)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("seeds", "effect", "joint"), [(1, 0.3, False), (2, 0.3, False), (3, 0.0, False), (3, 0.3, False), (5, 0.3, True)]
)
def test_an_interquartile_means_interval_covers(seeds: int, effect: float, joint: bool) -> None:
    """15 tasks whose seeds play the same episodes; a run's true rate varies by 6 points over training seeds where there
    are three or more. With fewer the interval is of the rollouts."""
    draw = np.random.default_rng(seeds)
    means = np.linspace(0.25, 0.95, 15)[None]
    spread, draws = 0.06 if seeds > 2 else 0.0, 800
    scope = Scope.JOINT if joint else Scope.PER_TASK
    (many,), _ = play(draw, 3_000, means, seeds, spread, effect, joint=joint)
    rates = np.stack([v.mean(-1) for v in many], axis=1)
    target = np.mean([iqm(one.ravel().tolist()) for one in rates])
    ((arm,), _) = play(draw, draws, means, seeds, spread, effect, joint=joint)
    shared = [contrast([[v]], [1], scope).shared_variance for v in arm]
    inside = []
    for i in range(draws):
        runs = {str(t): [(int(k), 100) for k in v[i].sum(-1)] for t, v in enumerate(arm)}
        own = {str(t): 0.0 if seeds == 1 else float(one[i]) for t, one in enumerate(shared)}
        low, high, by_seed = iqm_interval(runs, own, joint)
        assert by_seed == (seeds >= 3)
        inside.append(low <= target <= high)
    assert 0.95 - 0.035 <= _share(inside) <= 0.99


def _share(flags) -> float:  # type: ignore[no-untyped-def]
    return float(np.mean(list(flags)))
