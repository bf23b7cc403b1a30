"""Paired statistics against scipy, closed forms and simulation."""

from __future__ import annotations

import dataclasses
import json
import math
import subprocess
import sys

import numpy as np
import pytest
from scipy import integrate, special, stats

from benchmark.config import load_settings
from benchmark.report.comparison import NothingInCommon, compare, comparison_table
from benchmark.report.paired import (
    Pairs,
    difference,
    e_value,
    exact_mcnemar,
    holm,
    probability_of_improvement,
    seeds_needed,
)
from benchmark.report.power import plan
from benchmark.report.record import Evaluation, Record, Tally
from benchmark.report.table import render
from tests.benchmark.test_tables import record


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


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]) == [1.0, 1.0] and holm([0.2]) == [0.2] and holm([]) == []


def test_the_e_value_is_the_mixture_it_says() -> None:
    for b, c in [(0, 0), (3, 1), (10, 2), (0, 8)]:
        value, _ = integrate.quad(
            lambda p, b=b, c=c: (2 * p) ** b * (2 * (1 - p)) ** c * stats.beta.pdf(p, 0.5, 0.5), 0, 1, limit=200
        )
        assert e_value(b, c) == pytest.approx(value, rel=1e-4)
        assert e_value(b, c) == pytest.approx(2 ** (b + c) * special.beta(b + 0.5, c + 0.5) / special.beta(0.5, 0.5))
    assert math.isfinite(e_value(100_000, 0))


def test_looking_after_every_pair_raises_no_more_false_alarms_than_alpha() -> None:
    rng = np.random.default_rng(2)
    alarms = 0
    for _ in range(2000):
        wins = np.cumsum(rng.random(500) < 0.5)
        alarms += any(e_value(int(k), n - int(k)) >= 20 for n, k in enumerate(wins, start=1))
    assert alarms / 2000 <= 0.05, "alpha = 0.05"
    found = np.cumsum(np.random.default_rng(3).random(200) < 0.8)
    assert any(e_value(int(k), n - int(k)) >= 20 for n, k in enumerate(found, start=1))


def test_probability_of_improvement_counts_runs() -> None:
    assert probability_of_improvement([[0.9, 0.5]], [[0.7, 0.5]]) == (1 + 1 + 0 + 0.5) / 4
    assert probability_of_improvement([[1], [0]], [[0], [1]]) == 0.5


def test_the_planned_seeds_give_the_power() -> None:
    tasks, rollouts, discordant, spread, detect = 15, 100, 0.3, 0.06, 0.05
    seeds = seeds_needed(detect, tasks, rollouts, discordant, spread)
    rng = np.random.default_rng(0)
    deviation = math.sqrt(discordant / rollouts + 2 * spread**2)

    def power(count: int) -> float:
        means = rng.normal(detect, deviation, (4000, tasks, count)).mean(axis=(1, 2))
        return float((np.abs(means) / (deviation / math.sqrt(tasks * count)) > 1.96).mean())

    assert power(seeds) >= 0.78
    assert seeds > 1 and power(seeds - 1) < 0.83
    assert seeds_needed(0.01, 15, 100, 0.3, 0.06) > 20 * seeds_needed(0.05, 15, 100, 0.3, 0.06) / 2
    assert seeds_needed(0.05, 15, 10**9, 0.3, 0.06) >= 2, "more rollouts do not buy off the spread of seeds"


def played(task: str, method: str, outcomes: list[int], seed: int = 0, errors: tuple[int, ...] = ()) -> Record:
    rows = tuple((1000 + i, s, 50, "lost" if i in errors else None) for i, s in enumerate(outcomes))
    kept = [s for i, s in enumerate(outcomes) if i not in errors]
    retest = Evaluation(10, Tally(sum(kept), len(kept), len(errors)), rows)
    return dataclasses.replace(record(task, method, (1, 1, 1)), retest=retest, seed=seed)


def test_only_episodes_that_both_played_are_compared() -> None:
    first = [played("reach", "dp3", [1, 1, 1, 0, 1], errors=(4,)), played("hammer", "dp3", [1, 0]),
             played("reach", "dp3", [1, 1], seed=1)]  # fmt: skip
    second = [played("reach", "pointnet", [0, 1, 0, 1, 0]), played("hammer", "pointnet", [0, 0])]
    (one,), notes = compare([*first, *second], ["dp3", "pointnet"], "mlp")
    assert one.tasks == ("hammer", "reach") and one.seeds == (0,)
    assert one.strata == (Pairs(2, 1, 0), Pairs(4, 2, 1))
    assert one.difference == pytest.approx((1 / 2 + 1 / 4) / 2)
    assert any("only one of them has reach" in note for note in notes), "the seed that has no partner is named"
    assert "+37.5" in render(comparison_table([one], notes, "x"), "terminal", 150)


def test_records_under_other_conditions_are_not_compared() -> None:
    other = dataclasses.replace(played("reach", "pointnet", [0, 1]), success_rule="last-step")
    same = [played("reach", "dp3", [1, 1]), played("hammer", "dp3", [1, 0]), played("hammer", "pointnet", [1, 1])]
    (one,), notes = compare([*same, other], ["dp3", "pointnet"], "mlp")
    assert one.tasks == ("hammer",)
    assert any("reach/pointnet" in note for note in notes)
    with pytest.raises(NothingInCommon, match="no cell of the same task"):
        compare([played("reach", "dp3", [1]), played("hammer", "pointnet", [1])], ["dp3", "pointnet"], "mlp")


def test_the_family_is_adjusted() -> None:
    records = [played("reach", name, row) for name, row in (
        ("dp3", [1] * 40), ("pointnet", [1] * 30 + [0] * 10), ("pointnext", [1] * 33 + [0] * 7)
    )]  # fmt: skip
    found, _ = compare(records, ["dp3", "pointnet", "pointnext"], "mlp")
    assert [(one.first, one.second) for one in found] == [
        ("dp3", "pointnet"), ("dp3", "pointnext"), ("pointnet", "pointnext")
    ]  # fmt: skip
    assert [one.holm for one in found] == pytest.approx(holm([one.p for one in found]))
    assert found[0].holm == pytest.approx(3 * found[0].p)


def test_a_plan_counts_cells_rollouts_and_hours() -> None:
    settings = load_settings("metaworld-15", "clar", "mlp")
    timed = dataclasses.replace(
        record("reach", "dp3", (1, 1, 1)), timings={"training": 1000.0, "rollouts": 500.0},
        provenance={"machine": {"cpu": "a CPU"}},
        retest=Evaluation(10, Tally(0, 100, 0), tuple((i, 0, 1, None) for i in range(100))),
    )  # fmt: skip
    found = plan(settings, [timed], 0.05, 0.8, 0.05, 0.06, 0.3)
    row = next(row for row in found["plans"] if row["retest_rollouts"] == 100)
    assert row["cells"] == 2 * 15 * row["seeds"]
    assert row["rollouts"] == row["cells"] * (15 * 25 + 100)
    assert row["hours"] == pytest.approx(row["cells"] * (1000 + 475 * 5) / 3600)
    assert plan(settings, [], 0.05, 0.8, 0.05, 0.06, 0.3)["plans"][0]["hours"] is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["compare", "dp3"], "two or more"), (["compare", "dp3", "dp3"], "different"),
     (["compare", "dp3", "clip"], "no record of clip"), (["plan", "--detect", "0"], "--detect 0 must lie"),
     (["plan", "--spread", "-1"], "must not be negative")],
)  # fmt: skip
def test_bad_questions(arguments: list[str], message: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmark.cli", *arguments], capture_output=True, text=True, timeout=90
    )
    assert done.returncode == 2 and message in done.stderr


def test_the_measured_records_compare() -> None:
    command = [sys.executable, "-m", "benchmark.cli", "compare", "dp3", "proprio-only", "--out", "nowhere", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=90)
    (one,) = json.loads(done.stdout)["pairs"]
    assert one["tasks"] == ["box-close", "hammer", "reach"] and one["p"] < 1e-20 and 0.4 < one["difference"] < 0.7
