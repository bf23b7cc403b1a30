"""Rollouts: outcomes depend on seeds alone, errors are not failures, dead workers are replaced."""

from __future__ import annotations

import numpy as np
import pytest

from benchmark.experiment.rollout import Episode, rollout
from envs.pool import EnvConfig, Pool
from envs.spec import ObservationRequest
from tests.conftest import TOY

REQUEST = ObservationRequest(("ground_truth", "proprio"))
SEEDS = list(range(100, 117))


def expert(observations: dict[str, np.ndarray], _: object = None) -> np.ndarray:
    truth = observations["ground_truth"]
    return np.clip(10 * (truth[:, 2:] - truth[:, :2]), -1, 1).astype(np.float32)


def play(task: str, workers: int, seeds: list[int] = SEEDS, rule: str = "any-step", **options: object) -> list[Episode]:
    with Pool(EnvConfig(TOY, task, REQUEST), workers) as pool:
        return rollout(pool, options.pop("policy", expert), seeds, 40, rule, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("together", [True, False])
def test_one_worker_and_three_give_the_same_episodes(together: bool) -> None:
    one, three = play("far", 1, together=together), play("far", 3, together=together)
    assert one == three
    assert [e.seed for e in one] == SEEDS
    for a, b in zip(one, three, strict=True):
        np.testing.assert_array_equal(a.actions, b.actions)
    assert 0 < sum(e.success for e in one) < len(SEEDS), "an uninformative test"


def test_a_decided_episode_stops_early_and_an_undecided_one_at_the_horizon() -> None:
    episodes = play("far", 2)
    assert all(e.steps == 40 for e in episodes if not e.success)
    assert min(e.steps for e in episodes if e.success) < 30
    assert all(len(e.actions) == e.steps for e in episodes)
    whole = play("far", 2, rule="last-step")
    assert all(e.steps == 40 for e in whole)
    assert [e.success for e in whole] == [e.success for e in episodes], "the expert stays at the goal"


def test_the_two_rules_differ_for_a_policy_that_leaves_the_goal() -> None:
    def through(observations: dict[str, np.ndarray], _: object = None) -> np.ndarray:
        truth = observations["ground_truth"]
        away = truth[:, 2:] / np.linalg.norm(truth[:, 2:], axis=1, keepdims=True)
        return away.astype(np.float32)

    near = play("near", 2, policy=through), play("near", 2, policy=through, rule="last-step")
    assert sum(e.success for e in near[0]) > sum(e.success for e in near[1])


def test_the_parent_serves_all_live_episodes_in_one_batch() -> None:
    sizes: list[int] = []

    def counting(observations: dict[str, np.ndarray], _: object = None) -> np.ndarray:
        sizes.append(len(observations["proprio"]))
        return expert(observations)

    play("far", 3, policy=counting, together=True)
    assert sizes[0] == 3
    assert np.mean(sizes) > 2.5, "slots are refilled as soon as an episode ends"


@pytest.mark.slow
def test_errors_are_their_own_count_and_deaths_are_retried() -> None:
    seeds = [70, 73, 75, 71, 80, 82]  # 73 and 80 raise (seed % 7 == 3), 75 and 82 kill their process (5)
    with Pool(EnvConfig(TOY, "cursed", REQUEST), 2) as pool:
        episodes = rollout(pool, expert, seeds, 40, "any-step")
        assert pool.deaths == 6, "two seeds, three attempts each"
    assert [e.seed for e in episodes] == seeds
    kinds = [e.error and ("died" if "ended unexpectedly" in e.error else "raised") for e in episodes]
    assert kinds == [None, "raised", "died", None, "raised", "died"]
    assert not any(e.success for e in episodes if e.error)


@pytest.mark.slow
def test_a_worker_that_is_killed_changes_no_outcome() -> None:
    undisturbed = play("far", 2)
    calls = 0
    with Pool(EnvConfig(TOY, "far", REQUEST), 2) as pool:

        def murderous(observations: dict[str, np.ndarray], _: object = None) -> np.ndarray:
            nonlocal calls
            calls += 1
            if calls in (5, 60):
                pool.workers[calls % 2].process.kill()
            return expert(observations)

        episodes = rollout(pool, murderous, SEEDS, 40, "any-step")
        assert pool.deaths == 2
    assert episodes == undisturbed


def test_fewer_episodes_than_workers() -> None:
    assert len(play("near", 3, seeds=[1])) == 1
    assert play("near", 2, seeds=[]) == []
