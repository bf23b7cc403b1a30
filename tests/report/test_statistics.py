"""Inference over training seeds that share episodes: against scipy, by hand, and by small simulations.

The whole grid is `python -m tests.simulations.grid`, whose table is in docs/statistics.md.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import integrate, special, stats

from benchmark.records.joint_tasks import of_rows
from benchmark.report.statistics.betting import evidence
from benchmark.report.statistics.crossed import Scope, contrast
from benchmark.report.statistics.family import holm, maybe_best
from benchmark.report.statistics.one_seed import over_tasks, tipping_spread
from benchmark.report.statistics.outcomes import align, drops, successes
from benchmark.report.statistics.planned_power import Setting, power, seeds_for
from benchmark.report.statistics.rate import rate_interval
from benchmark.report.statistics.seed_spread import measured_spread
from tests.simulations import shares
from tests.simulations.policies import play, rates_of_seeds, task_means

PER_TASK, JOINT = Scope.PER_TASK, Scope.JOINT


def outcomes(draw: np.random.Generator, rates: list[float], episodes: int = 100) -> np.ndarray:
    return (draw.random((len(rates), episodes)) < np.array(rates)[:, None]).astype(float)


def test_where_episodes_add_nothing_it_is_welchs_test_on_the_seeds_rates() -> None:
    """Seeds far apart and episodes without any difficulty of their own."""
    draw, compared = np.random.default_rng(0), 0
    while compared < 5:
        a, b = outcomes(draw, [0.3, 0.5, 0.7, 0.9]), outcomes(draw, [0.2, 0.6, 0.4])
        found = contrast([[a], [b]], [1, -1], PER_TASK)
        if found.shared_variance > 0:
            continue
        welch = stats.ttest_ind(a.mean(1), b.mean(1), equal_var=False)
        assert float(found.df) == pytest.approx(welch.df)
        assert float(found.p_of_methods()) == pytest.approx(welch.pvalue, rel=1e-6)
        low, high = welch.confidence_interval()
        assert (found.estimate - found.of_methods(), found.estimate + found.of_methods()) == pytest.approx((low, high))
        compared += 1
    one = contrast([[a]], [1], PER_TASK)
    assert math.sqrt(one.seed_variance) == pytest.approx(stats.sem(a.mean(1))) and one.df == 3


def test_the_same_seeds_again_are_the_checkpoint_question() -> None:
    """Seeds that act alike have no spread: what is left is the paired test over episodes."""
    draw = np.random.default_rng(1)
    a, b = outcomes(draw, [0.6]), outcomes(draw, [0.5])
    found = contrast([[np.repeat(a, 3, 0)], [np.repeat(b, 3, 0)]], [1, -1], PER_TASK)
    paired = stats.ttest_rel(a[0], b[0])
    error = abs(float(found.estimate) / paired.statistic)
    assert float(found.of_checkpoints()) == pytest.approx(1.959964 * error, rel=0.005), "half a pseudo-pair more"
    assert float(found.of_methods()) == pytest.approx(float(found.of_checkpoints()), rel=0.01)


def test_the_p_value_is_where_the_interval_ends_at_zero() -> None:
    draw = np.random.default_rng(2)
    arms, _ = play(draw, 50, task_means(3, (0.05, -0.05)), 4, 0.06, 0.3)
    for scope in Scope:
        found = contrast(arms, [1, -1], scope)
        p = found.p_of_methods()
        assert found.of_methods(p) == pytest.approx(np.abs(found.estimate), rel=1e-5)
        assert (found.of_methods() >= found.of_checkpoints()).all(), "never narrower than the checkpoint question"
        assert (p >= found.p_of_checkpoints() - 1e-9).all()


def test_a_batch_is_its_members_and_the_order_of_seeds_says_nothing() -> None:
    arms, _ = play(np.random.default_rng(3), 4, task_means(2, (0.0, 0.1)), 3, 0.06, 0.2)
    whole = contrast(arms, [1, -1], JOINT)
    for i in range(4):
        one = contrast([[v[i] for v in arm] for arm in arms], [1, -1], JOINT)
        turned = contrast([[v[i] for v in arms[0]], [v[i][::-1] for v in arms[1]]], [1, -1], JOINT)
        assert one.estimate == pytest.approx(whole.estimate[i]) and one.df == pytest.approx(whole.df[i])
        assert float(one.of_methods()) == pytest.approx(float(whole.of_methods()[i]))
        assert float(one.of_methods()) == pytest.approx(float(turned.of_methods()))


def test_what_cannot_be_answered_is_refused() -> None:
    one = contrast([[np.ones((1, 10))], [np.zeros((3, 10))]], [1, -1], PER_TASK)
    assert one.fewest == 1 and one.estimate == 1
    with pytest.raises(ValueError, match="one training seed says nothing"):
        one.of_methods()
    with pytest.raises(ValueError, match="same two or more episodes"):
        contrast([[np.ones((2, 10))], [np.ones((2, 9))]], [1, -1], PER_TASK)
    with pytest.raises(ValueError, match="same in every task"):
        contrast([[np.ones((2, 10)), np.ones((3, 10))]], [1], JOINT)


def test_certainty_is_never_claimed() -> None:
    always, never = np.ones((3, 100)), np.zeros((3, 100))
    found = contrast([[always], [never]], [1, -1], PER_TASK)
    assert 0 < found.of_methods() < 0.05 and found.p_of_methods() < 1e-6
    same = contrast([[always], [always]], [1, -1], PER_TASK)
    assert same.p_of_methods() == pytest.approx(1) and same.of_methods() > 0
    low, high = rate_interval(contrast([[always]], [1], PER_TASK), 300)
    assert 0.95 < low < 1 and high == 1


def test_episodes_that_one_could_not_be_run_on_are_left_out_everywhere() -> None:
    rows = [(i, i % 2, 50, "lost" if i == 3 else None) for i in range(6)]
    full = successes(of_rows(1, [(i, 1, 50, None) for i in range(6)]))
    part = successes(of_rows(1, rows))
    assert list(part) == [0, 1, 2, 4, 5]
    found = align([{"a": {0: full, 5: full}}, {"a": {1: part}}], ["a"])
    assert found.seeds == (((0, 5),), ((1,),)) and found.dropped == {"a": 1} and found.fewest == 1
    assert found.arms[0][0].shape == (2, 5) and found.arms[1][0].tolist() == [[0, 1, 0, 0, 1]]
    apart = align([{"a": {0: {1: 1.0, 2: 1.0}}}, {"a": {0: {3: 1.0}}}], ["a"])
    assert apart.tasks == () and apart.dropped == {"a": 3}
    ragged = {"a": {0: full, 1: full}, "b": {0: full}}
    assert align([ragged], ["a", "b"], JOINT).seeds == (((0,), (0,)),), "a joint policy is in all tasks or in none"
    assert set(drops(of_rows(1, rows), of_rows(1, rows)).values()) == {0.0}


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]) == [1.0, 1.0] and holm([0.2]) == [0.2] and holm([]) == []


def test_the_best_may_be_any_that_none_is_above() -> None:
    assert maybe_best(3, [0.1, 0.3, 0.2], [0.4, 0.001, 0.03]) == {0, 1}, "Holm: 0.03 is the second of two left"
    assert maybe_best(2, [-0.1], [0.01]) == {1} and maybe_best(2, [0.0], [0.01]) == {0, 1}


def test_one_seed_over_tasks_is_the_t_test() -> None:
    values = np.random.default_rng(4).normal(0.05, 0.1, 15).tolist()
    half, p, df = over_tasks(values)
    wanted = stats.ttest_1samp(values, 0)
    assert (p, df) == (pytest.approx(wanted.pvalue), 14)
    assert half == pytest.approx(wanted.confidence_interval().high - np.mean(values))
    assert over_tasks([0.0] * 5)[1] == 1.0
    with pytest.raises(ValueError, match="needs 5"):
        over_tasks([0.1] * 4)


def test_the_tipping_point_is_where_the_interval_would_reach_zero() -> None:
    for scope, tasks in ((PER_TASK, 15), (JOINT, 15), (PER_TASK, 1)):
        spread = tipping_spread(0.2, 0.003, tasks, scope)
        through_seeds = 2 * spread**2 / (tasks if scope is PER_TASK else 1)
        assert 1.959964 * math.sqrt(0.003 + through_seeds) == pytest.approx(0.2, rel=1e-5)
    assert tipping_spread(0.05, 0.003, 1, PER_TASK) == 0.0


def test_evidence_of_one_checkpoint_each_is_the_beta_mixture() -> None:
    for b, c in [(0, 0), (3, 1), (10, 2), (0, 8), (40, 61), (400, 330)]:
        values = [1.0] * b + [-1.0] * c + [0.0] * 7
        log = special.betaln(b + 0.5, c + 0.5) - special.betaln(0.5, 0.5) + (b + c) * math.log(2)
        assert evidence(values) == pytest.approx(math.exp(log), rel=1e-6)
    assert math.isfinite(evidence([1.0] * 100_000))
    value, _ = integrate.quad(lambda p: (2 * p) ** 3 * 2 * (1 - p) * stats.beta.pdf(p, 0.5, 0.5), 0, 1, limit=200)
    assert evidence([1.0, 1.0, -1.0, 1.0]) == pytest.approx(value, rel=1e-4)
    assert evidence([1 / 3] * 30) > 20 > evidence([1 / 3, -1 / 3] * 15)


@pytest.mark.parametrize(("scope", "joint"), [(PER_TASK, False), (JOINT, True)])
def test_the_spread_is_found_again(scope: Scope, joint: bool) -> None:
    """Variance of the rates minus that of the rollouts, unbiased; the interval covers."""
    draw, squares, inside = np.random.default_rng(5), [], 0
    means = task_means(3, (0.0,))
    if joint:
        many = rates_of_seeds(draw, means[0], 1, 20_000, 0.06, True)
        truth = float(many.mean(0).std())
    else:
        truth = 0.06
    for _ in range(400):
        ((arm), _) = play(draw, 1, means, 5, 0.06, 0.3, joint=joint)
        found = measured_spread([v[0] for v in arm[0]], scope)
        assert found is not None and found.df == (4 if joint else 12)
        squares.append(found.between - found.rollouts)
        inside += found.low <= truth <= found.high
    assert math.sqrt(np.mean(squares)) == pytest.approx(truth, abs=0.004)
    assert inside / 400 == pytest.approx(0.95, abs=0.035)
    assert measured_spread([np.ones((1, 100))], scope) is None


DRAWS = 1_000
ALARMS = 0.05 + 3 * math.sqrt(0.05 * 0.95 / DRAWS)


@pytest.mark.slow
@pytest.mark.parametrize("effect", [0.0, 0.3])
@pytest.mark.parametrize("spread", [0.0, 0.06])
@pytest.mark.parametrize(("tasks", "joint"), [(1, False), (4, False), (4, True)])
def test_false_alarms_and_coverage(tasks: int, joint: bool, spread: float, effect: float) -> None:
    """At most 5 %, and never more than 2 points above it where the methods differ; three seeds are conservative."""
    draw = np.random.default_rng([tasks, joint, int(100 * spread), int(100 * effect)])
    equal = shares.of_methods(draw, DRAWS, tasks, spread, effect, 0.5, joint, (3, 5, 10))
    apart = shares.of_methods(draw, DRAWS, tasks, spread, effect, 0.5, joint, (3, 10), 0.1)
    for found in (*equal.values(), *apart.values()):
        assert found["difference"] <= ALARMS and found["mean"] <= 0.07 + 0.014 and found["checkpoints"] <= 0.07 + 0.014
    if spread:
        assert equal[10]["difference"] >= 0.03 - 0.014, "ten seeds are not conservative any more"


def test_seeds_as_strata_raise_false_alarms_and_crossed_seeds_do_not() -> None:
    """Why: three seeds as independent strata of McNemar's test, two equal methods, 5 %."""
    pooled, wide = shares.seeds_as_strata(np.random.default_rng(6), 400, 3, 0.0, 0.3)
    assert pooled > 0.09 and wide > 0.09
    pooled, _ = shares.seeds_as_strata(np.random.default_rng(6), 400, 1, 0.06, 0.3)
    assert pooled > 0.15, "one checkpoint each is not a method"


@pytest.mark.slow
def test_the_truly_best_is_seldom_not_bold() -> None:
    draw = np.random.default_rng(7)
    for spread in (0.06, (0.1, 0.01, 0.01, 0.1, 0.01, 0.01)):
        for s, (wrong, _) in shares.of_bold(draw, 400, 6, 1, spread, 0.3, False, (1, 3, 5)).items():
            assert wrong <= 0.05 + 0.033, s
    apart = shares.of_bold(draw, 200, 3, 15, 0.03, 0.2, False, (3,), (0.0, -0.1, -0.2))
    assert apart[3][1] < 1.2, "and who is 10 points below it over 15 tasks is not"


@pytest.mark.slow
def test_a_shifts_difference_in_difference_holds() -> None:
    draw = np.random.default_rng(8)
    for joint in (False, True):
        for s, found in shares.of_shift(draw, DRAWS, 3, 0.06, 0.3, joint, (1, 3, 10)).items():
            assert all(share <= 0.07 + 0.014 for share in found.values()), (s, found)
            assert found.get("difference", 0) <= ALARMS


@pytest.mark.slow
def test_with_one_seed_the_t_test_over_tasks_holds_over_retrainings() -> None:
    found = shares.with_one_seed(np.random.default_rng(9), 600, 15, 0.06, 0.3, 0.5)
    assert found["over_tasks"] <= 0.05 + 0.027 and found["mcnemar"] > 0.1, "McNemar's answers another question"
    none = shares.with_one_seed(np.random.default_rng(10), 600, 1, 0.0, 0.3, 0.5)
    assert none["mcnemar"] <= 0.05 + 0.027


@pytest.mark.slow
def test_looks_and_playing_on_raise_no_more_than_5_percent() -> None:
    draw = np.random.default_rng(11)
    assert shares.of_looks(draw, DRAWS, 1, 0.06, 0.3, False)[0] <= ALARMS
    looks, ten = shares.of_looks(draw, 400, 1, 0.06, 0.2, False, 0.15)
    assert looks > 0.75 * ten > 0.5
    assert shares.of_playing_on(draw, 150, 1, 1, 0.3) <= 0.05 + 0.05
    assert shares.of_playing_on(draw, 150, 2, 3, 0.3, uneven=True) <= 0.05 + 0.05


@pytest.mark.slow
@pytest.mark.parametrize(
    ("tasks", "spread", "gap", "joint", "counts"),
    [(1, 0.06, 0.15, False, (3, 10)), (15, 0.06, 0.05, False, (2, 3)), (4, 0.03, 0.1, True, (3, 5))],
)
def test_planned_power_is_the_powers_of_the_test(
    tasks: int, spread: float, gap: float, joint: bool, counts: tuple[int, ...]
) -> None:
    found, setting = shares.simulated_power(np.random.default_rng(12), 1_500, tasks, spread, 0.2, gap, joint, counts)
    for s, share in found.items():
        assert power(setting, gap, s) == pytest.approx(share, abs=0.03 + 0.02)


def test_the_planned_seeds_are_the_fewest() -> None:
    setting = Setting(15, 100, 0.06, 0.3, 0.15, PER_TASK)
    s = seeds_for(setting, 0.05, 0.8)
    assert s is not None and power(setting, 0.05, s) >= 0.8 > power(setting, 0.05, s - 1)
    assert seeds_for(setting, 0.001, 0.8) is None
    assert power(Setting(15, 10**7, 0.06, 0.3, 0.0, JOINT), 0.05, 3) < 0.3, "rollouts do not buy off the spread"
    with pytest.raises(ValueError, match="more discordant pairs"):
        Setting(1, 100, 0.06, 0.3, 0.6, PER_TASK)
