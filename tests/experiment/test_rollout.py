"""Rollouts: outcomes depend on seeds alone, errors are not failures, dead workers are replaced."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from benchmark.experiment.rollout import Episode, rollout
from benchmark.policy.episode_memory import Memory
from envs.pool import EnvConfig, Pool
from envs.spec import ObservationRequest
from tests.conftest import TOY

pytestmark = pytest.mark.slow

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


def test_errors_are_their_own_count_and_deaths_are_retried() -> None:
    seeds = [70, 73, 75, 71, 80, 82]  # 73 and 80 raise (seed % 7 == 3), 75 and 82 kill their process (5)
    with Pool(EnvConfig(TOY, "cursed", REQUEST), 2) as pool:
        episodes = rollout(pool, expert, seeds, 40, "any-step")
        assert pool.deaths == 6, "two seeds, three attempts each"
    assert [e.seed for e in episodes] == seeds
    kinds = [e.error and ("died" if "ended unexpectedly" in e.error else "raised") for e in episodes]
    assert kinds == [None, "raised", "died", None, "raised", "died"]
    assert not any(e.success for e in episodes if e.error)


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


class Planner:
    """Plans some of the expert's actions ahead from the last `looks` observations, as policies of chunks do."""

    def __init__(self, looks: int, ahead: int) -> None:
        self.looks, self.ahead, self.asked = looks, ahead, 0

    def __call__(self, observations: dict[str, np.ndarray], memories: Sequence[Memory]) -> np.ndarray:
        self.asked += len(memories)
        for row, memory in enumerate(memories):
            memory.seen.append({"ground_truth": observations["ground_truth"][row].copy()})
            while len(memory.seen) > self.looks:
                memory.seen.popleft()
            if not memory.plan:
                truth = np.mean([seen["ground_truth"] for seen in memory.seen], axis=0)
                towards = expert({"ground_truth": truth[None]})[0]
                memory.plan.extend(towards * np.float32(0.9**step) for step in range(self.ahead))
        return np.stack([memory.plan.popleft() for memory in memories])


def same_episodes(some: list[Episode], others: list[Episode]) -> None:
    assert some == others
    for one, other in zip(some, others, strict=True):
        np.testing.assert_array_equal(one.actions, other.actions)


@pytest.mark.parametrize("rule", ["any-step", "last-step"])
@pytest.mark.parametrize("looks", [1, 2])
def test_nothing_is_rendered_between_actions_that_are_planned(looks: int, rule: str) -> None:
    """Episodes are those of whoever looks at every step, and are looked at only where a plan is made of it."""
    each, sparing = Planner(looks, 7), Planner(looks, 7)
    every = play("far", 2, rule=rule, policy=each, looks=100)
    few = play("far", 2, rule=rule, policy=sparing, looks=looks)
    same_episodes(every, few)
    assert 0 < sum(e.success for e in every) < len(SEEDS) and (rule == "any-step") == (min(e.steps for e in every) < 40)
    assert each.asked == sum(e.steps for e in every)
    # each plan of 7 steps is made of `looks` observations, an episode's first of one
    assert sparing.asked <= sum(1 + looks * (e.steps // 7 + 1) for e in few) < each.asked / 2


def test_an_error_between_planned_actions_is_that_of_its_step() -> None:
    """A plan's third action is NaN in the second plan of odd seeds: the simulator refuses it at step 10."""

    class Odd(Planner):
        def __call__(self, observations: dict[str, np.ndarray], memories: Sequence[Memory]) -> np.ndarray:
            found = super().__call__(observations, memories)
            for memory in memories:
                if memory.seed % 2 and len(memory.actions) == 7:
                    memory.plan[1] = np.full(2, np.nan, np.float32)
            return found

    every, few = (play("far", 1, SEEDS[:6], "last-step", policy=Odd(1, 7), looks=looks) for looks in (100, 1))
    assert [(e.success, e.error) for e in every] == [(e.success, e.error) for e in few]
    assert [e.error is not None for e in few] == [bool(seed % 2) for seed in SEEDS[:6]]
    for one, other in zip(every, few, strict=True):
        assert one.steps == other.steps == (10 if other.error else 40)
        np.testing.assert_array_equal(one.actions, other.actions)
