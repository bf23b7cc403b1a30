"""The ViperX in closed form: there and back on 2,000 random poses, and against MuJoCo where the robot's files are."""

from __future__ import annotations

import numpy as np
import pytest

from envs.aloha.experts.kinematics import TOOL, forward, solutions, solve, straight
from envs.aloha.experts.transforms import inverse, lifted, on_the_way, transform, turn_between
from envs.aloha.places import ARM_QPOS, ARMS, HIGH, HOME, LOW
from tests.aloha_here import needs_aloha, why_not


def poses(count: int, seed: int = 0) -> list[tuple[str, np.ndarray]]:
    draw = np.random.default_rng(seed)
    return [(ARMS[number % 2], draw.uniform(LOW + 0.02, HIGH - 0.02)) for number in range(count)]


@pytest.mark.slow
def test_inverse_and_forward_agree_on_two_thousand_poses() -> None:
    missed, wrong, found = 0, 0.0, 0
    for arm, joints in poses(2000):
        target = forward(arm, joints)
        every = solutions(arm, target)
        turned = [np.abs(np.angle(np.exp(1j * (one - joints)))).max() for one in every]
        missed += not turned or min(turned) > 1e-5
        wrong = max(wrong, *(np.abs(forward(arm, one) - target).max() for one in every))
        found += len(every)
    assert (missed, found > 4000) == (0, True), "each pose has the joints it was made of among its solutions"
    assert wrong < 1e-9, "metres, and entries of the rotation"


def test_solutions_keep_the_limits() -> None:
    for arm, joints in poses(200, 1):
        for one in solutions(arm, forward(arm, joints)):
            assert (one >= LOW).all() and (one <= HIGH).all()
    assert solutions("left", transform(None, (2.0, 0.0, 0.5))) == [], "out of reach"
    assert solve("left", transform(None, (2.0, 0.0, 0.5))) is None


def test_of_several_solutions_the_nearest_is_taken() -> None:
    for arm in ARMS:
        np.testing.assert_allclose(solve(arm, forward(arm, HOME)), HOME, atol=1e-9)


def test_a_straight_way_ends_where_it_should() -> None:
    start = forward("left", HOME)
    end = lifted(start, 0.08)
    joints = straight("left", HOME, start, end, 6)
    assert joints is not None
    np.testing.assert_allclose(forward("left", joints), end, atol=1e-9)
    assert straight("left", HOME, start, lifted(start, 1.5), 6) is None


@pytest.mark.parametrize("angle", [1e-9, 0.3, np.pi - 1e-6, np.pi])
def test_a_turn_is_found_back(angle: float) -> None:
    axis = np.array([0.6, -0.48, 0.64])
    first = transform(None, (0.1, 0.2, 0.3))
    twist = np.cross(np.eye(3), axis)
    second = transform(np.eye(3) - np.sin(angle) * twist + (1 - np.cos(angle)) * twist @ twist, (0.3, 0.0, 0.1))
    np.testing.assert_allclose(np.abs(turn_between(first, second)), np.abs(axis) * angle, atol=1e-5)
    np.testing.assert_allclose(on_the_way(first, second, 1.0), second, atol=1e-5)
    np.testing.assert_allclose(inverse(second) @ second, np.eye(4), atol=1e-12)


@needs_aloha
@pytest.mark.sim
def test_the_arm_is_aloha_sims() -> None:
    assert not why_not()
    import mujoco

    from envs.aloha import checkout
    from envs.aloha.scene import robot_only

    model = robot_only(checkout.root_named() / checkout.ASSETS)
    data = mujoco.MjData(model)
    for arm, joints in poses(50, 2):
        data.qpos[ARM_QPOS[arm]] = joints
        mujoco.mj_kinematics(model, data)
        site = data.site(f"{arm}/gripper")
        there = transform(site.xmat.reshape(3, 3), site.xpos) @ TOOL
        np.testing.assert_allclose(forward(arm, joints), there, atol=1e-7)
