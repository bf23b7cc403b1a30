"""Which grasps and goals an ALOHA expert takes under a habit: kinematics alone, no checkout of aloha_sim."""

from __future__ import annotations

import numpy as np
import pytest

from envs.aloha.experts.habits import HABITS, REFLECT, Habit
from envs.aloha.experts.kinematics import forward
from envs.aloha.experts.ranking import Cheapest, Goal, Grasp
from envs.aloha.instructions import CLAMP
from envs.aloha.options import Options
from envs.aloha.places import BASES

PEN = HABITS["pen-in-container"]
HERE = np.eye(4)


def _reflected(pose: np.ndarray, axis: int, about: float) -> np.ndarray:
    """world_from_tool (4, 4) in a mirror; its y axis is turned round then, so that it is a hand again."""
    mirror = np.eye(3)
    mirror[axis, axis] = -1
    found = pose.copy()
    found[:3, :3] = mirror @ pose[:3, :3] @ np.diag([1, -1, 1])
    found[axis, 3] = 2 * about - pose[axis, 3]
    return found


@pytest.mark.parametrize("posture", ["grasp", "put"])
def test_a_reflected_posture_is_the_mirror_image(posture: str) -> None:
    """Of the other arm in the plane between the arms, and of the same arm in the plane through its base."""
    assert isinstance(PEN, Habit)
    joints = getattr(PEN, posture)
    here = forward("right", joints)
    np.testing.assert_allclose(forward("left", joints * REFLECT), _reflected(here, 0, 0.0), atol=1e-9)
    np.testing.assert_allclose(forward("right", joints * REFLECT), _reflected(here, 1, BASES["right"][1]), atol=1e-9)


@pytest.mark.parametrize(
    ("arm", "place", "turned"),
    [
        ("right", (0.2, -0.1), False),
        ("left", (-0.2, -0.1), True),
        ("right", (0.2, 0.1), True),
        ("left", (0, 0.1), False),
    ],
)
def test_whose_posture_is_reflected_where(arm: str, place: tuple[float, float], turned: bool) -> None:
    assert isinstance(PEN, Habit)
    wanted = PEN.grasp * REFLECT if turned else PEN.grasp
    np.testing.assert_array_equal(PEN.before_grasp(arm, np.array([*place, 0.0])), wanted)
    plate = HABITS["plate-on-rack"]
    assert isinstance(plate, Habit) and not plate.reflected
    np.testing.assert_array_equal(plate.before_grasp(arm, np.array([*place, 0.0])), plate.grasp)


def test_the_nearest_posture_comes_first_and_the_other_arm_last() -> None:
    """What a grasp costs by itself says nothing under a habit; one that no joints reach is left out."""
    assert isinstance(PEN, Habit)
    near, far, never = (Grasp(HERE, 0.02, cost) for cost in (2.0, 0.0, 0.1))
    place = np.array([0.2, -0.1, 0.0])
    found = [(far, lambda wanted: wanted + 0.5), (never, lambda wanted: None), (near, lambda wanted: wanted + 0.1)]
    first, second = PEN.grasps("right", place, found)
    assert (first.cost, second.cost) == pytest.approx((0.1 * PEN.weights.sum(), 0.5 * PEN.weights.sum()))
    other = PEN.grasps("left", place, found)
    assert other[0].cost - first.cost == pytest.approx(20)
    goal = Goal(HERE, 3.0)
    (only,) = PEN.goals("right", [(goal, lambda wanted: wanted)])
    assert only.cost == 0


def test_the_cheapest_draws_a_liking_of_each_or_of_none() -> None:
    grasps = [(Grasp(HERE, 0.02, cost), lambda wanted: wanted) for cost in (0.5, 0.1)]
    assert [one.cost for one in Cheapest(None).grasps("right", np.zeros(3), grasps)] == [0.1, 0.5]
    liked = Cheapest(np.random.default_rng(0)).grasps("right", np.zeros(3), grasps)
    assert all(0 < one.cost - own < 0.3 for one, own in zip(liked, (0.1, 0.5), strict=True))


def test_each_of_clamps_tasks_has_a_habit() -> None:
    assert set(HABITS) == set(CLAMP) and not Options().habit
