"""Keyframes of traces in which they are known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from envs.rlbench.keyframes import action_between, find_keyframes

FAST = 0.5


def trace(*parts: tuple[int, float, int]) -> tuple[np.ndarray, np.ndarray]:
    """gripper_open (T,) and joint_velocities (T, 7) of parts (moments, rad/s, gripper)."""
    opened = np.concatenate([np.full(count, gripper, float) for count, _, gripper in parts])
    velocities = np.concatenate([np.full((count, 7), speed) for count, speed, _ in parts])
    return opened, velocities


@pytest.mark.parametrize(
    ("parts", "keys"),
    [
        # moves, stands for 3, moves to the end: the first standing moment and the last
        ([(10, FAST, 1), (3, 0, 1), (20, FAST, 1)], [10, 32]),
        # closes after it stood: the stop is dropped for the closing, 3 moments later
        ([(10, FAST, 1), (3, 0, 1), (20, FAST, 0)], [13, 32]),
        # 6 moments apart both stay, 5 apart the earlier goes
        ([(10, FAST, 1), (6, 0, 1), (20, FAST, 0)], [10, 16, 35]),
        ([(10, FAST, 1), (5, 0, 1), (20, FAST, 0)], [15, 34]),
        # stands long: after a stop 4 moments of rest, then the next, 5 apart, so only the last of them stays
        ([(10, FAST, 1), (12, 0, 1), (20, FAST, 1)], [20, 41]),
        # never stands, never grips: the last alone
        ([(30, FAST, 1)], [29]),
        # a stop within 5 moments of the end belongs to it
        ([(20, FAST, 1), (5, 0, 1)], [24]),
        # a joint at the limit of standing still, and one above
        ([(10, FAST, 1), (3, 0.1, 1), (20, FAST, 1)], [10, 32]),
        ([(10, FAST, 1), (3, 0.1001, 1), (20, FAST, 1)], [32]),
        # standing at the start is no keyframe: it counts as a stop already, whose moment is never one
        ([(3, 0, 1), (20, FAST, 1), (3, 0, 1), (20, FAST, 1)], [23, 45]),
    ],
)
def test_known_keyframes(parts: list[tuple[int, float, int]], keys: list[int]) -> None:
    assert find_keyframes(*trace(*parts)) == keys


@pytest.mark.parametrize("sign", [1, -1])
def test_one_joint_is_enough_to_move(sign: int) -> None:
    opened, velocities = trace((10, FAST, 1), (3, 0, 1), (20, FAST, 1))
    velocities[10:13, 4] = sign * 0.2
    assert find_keyframes(opened, velocities) == [32]


def test_the_five_keyframes_of_a_box() -> None:
    """Approach, grasp, end of the arc, release, retreat: what 99 of 100 published trajectories of close_box have."""
    parts = [(30, FAST, 1), (3, 0, 1), (20, FAST, 1), (2, 0, 1), (60, FAST, 0), (6, 0, 0), (1, 0, 1), (30, FAST, 1)]
    assert find_keyframes(*trace(*parts)) == [30, 55, 115, 121, 151]


@pytest.mark.parametrize("count", [1, 2, 3])
def test_the_shortest_traces(count: int) -> None:
    found = find_keyframes(np.ones(count), np.zeros((count, 7)))
    assert found == ([] if count == 1 else [count - 1])


def test_an_action_leads_from_one_pose_to_the_next() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        (a, b), (q, r) = rng.normal(size=(2, 3)), Rotation.random(2, rng).as_quat()
        action = action_between(a, q, b, r, opens=True)
        np.testing.assert_allclose(a + action[:3], b, atol=1e-6)
        reached = Rotation.from_quat(action[3:7].astype(float)) * Rotation.from_quat(q)
        assert (reached.inv() * Rotation.from_quat(r)).magnitude() < 1e-6
        assert action[6] >= 0 and action[7] == 1 and action.dtype == np.float32
