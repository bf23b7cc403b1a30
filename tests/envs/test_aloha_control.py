"""ALOHA's actions as joint targets and as where the tools go: there and back, held where nothing leads, replayed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from envs.aloha.control import FASTEST, SPECS, action_of, targets_of
from envs.aloha.env import Aloha
from envs.aloha.experts.kinematics import forward
from envs.aloha.options import ABSOLUTE, BY_JOINTS, CONTROLS, RELATIVE, read_options
from envs.aloha.places import ARMS, HIGH, HOME, LOW
from envs.options import BadOption, set_options
from envs.registry import make
from envs.spec import ObservationRequest
from tests.aloha_here import aloha, needs_aloha

__all__ = ["aloha"]
AT_HOME = np.array([*HOME, 0.3, *HOME, 1.1])
TOOLS = (ABSOLUTE, RELATIVE)


@pytest.fixture
def no_options() -> Iterator[None]:
    yield
    set_options("aloha", {})


def walk(steps: int = 400) -> np.ndarray:
    """Joint targets that go slowly through the joints' ranges, to their ends, and no wrist stretched."""
    phase = np.linspace(0, 6, steps)[:, None] * np.array([1, 0.9, 1.1, 0.7, 0, 0.8])
    middle, half = (LOW + HIGH) / 2, (HIGH - LOW) / 2
    arm = middle + half * np.sin(phase)
    arm[:, 4] = 0.9 + 0.5 * np.sin(np.linspace(0, 5, steps))
    return np.concatenate([arm, np.full((steps, 1), 0.2), arm[::-1], np.full((steps, 1), 1.0)], axis=1)


@pytest.mark.slow
@pytest.mark.parametrize("control", TOOLS)
def test_what_asks_for_joint_targets_is_them_again(control: str) -> None:
    last, way, exact = walk()[0], walk(), 0
    for targets in way:
        action = action_of(control, targets.astype(np.float32), last)
        SPECS[control].check(action)
        again = targets_of(control, action, last)
        assert again is not None
        for number, arm in enumerate(ARMS):
            joints = slice(7 * number, 7 * number + 6)
            np.testing.assert_allclose(forward(arm, again[joints]), forward(arm, targets[joints]), atol=1e-5)
        # with an elbow nearly stretched, float32's last bit of a place is some hundredths of a radian of it
        np.testing.assert_allclose(again, targets, atol=0.05)
        exact += np.abs(again - targets).max() < 1e-4
        last = again
    assert exact > 0.8 * len(way)


def test_an_absolute_action_is_the_tools_pose_and_a_relative_one_the_difference() -> None:
    targets = AT_HOME + 0.02
    absolute, relative = (action_of(control, targets.astype(np.float32), AT_HOME) for control in TOOLS)
    for number, arm in enumerate(ARMS):
        first, joints = 8 * number, slice(7 * number, 7 * number + 6)
        before, after = forward(arm, AT_HOME[joints]), forward(arm, targets[joints])
        np.testing.assert_allclose(absolute[first : first + 3], after[:3, 3], atol=1e-6)
        np.testing.assert_allclose(relative[first : first + 3], (after - before)[:3, 3], atol=1e-6)
        turn = after[:3, :3] @ before[:3, :3].T
        cosine = (np.trace(turn) - 1) / 2
        assert 2 * relative[first + 6] ** 2 - 1 == pytest.approx(cosine, abs=1e-6) and relative[first + 6] > 0
        for action in (absolute, relative):
            assert np.linalg.norm(action[first + 3 : first + 7]) == pytest.approx(1, abs=1e-6)
            assert action[first + 7] == pytest.approx(targets[7 * number + 6], abs=1e-6), "grippers are absolute"


@pytest.mark.parametrize("control", TOOLS)
def test_of_a_quaternion_sign_and_length_say_nothing_and_none_is_refused(control: str) -> None:
    action = action_of(control, (AT_HOME + 0.05).astype(np.float32), AT_HOME)
    expected = targets_of(control, action, AT_HOME)
    turned = action.copy()
    turned[3:7] *= -0.7
    np.testing.assert_allclose(targets_of(control, turned, AT_HOME), expected, atol=1e-6)
    turned[3:7] = 0
    assert targets_of(control, turned, AT_HOME) is None


def test_where_an_arm_cannot_go_it_keeps_its_targets_and_the_other_moves() -> None:
    action = action_of(ABSOLUTE, (AT_HOME + 0.05).astype(np.float32), AT_HOME)
    action[:3] = [1.2, 0.8, 1.0]  # the left arm's base is at x = -0.47
    found = targets_of(ABSOLUTE, action, AT_HOME)
    assert found is not None
    np.testing.assert_array_equal(found[:6], AT_HOME[:6])
    np.testing.assert_allclose(found[7:13], AT_HOME[7:13] + 0.05, atol=1e-4)
    assert found[6] == pytest.approx(AT_HOME[6] + 0.05, abs=1e-6), "its gripper opens all the same"
    still = action_of(RELATIVE, AT_HOME.astype(np.float32), AT_HOME)
    still[0] = 3 * FASTEST
    moved = targets_of(RELATIVE, still, AT_HOME)
    assert moved is not None
    step = forward("left", moved[:6])[:3, 3] - forward("left", AT_HOME[:6])[:3, 3]
    np.testing.assert_allclose(step, [FASTEST, 0, 0], atol=1e-5), "clipped"


@pytest.mark.slow
def test_the_range_holds_all_that_joints_can_ask_for() -> None:
    draw = np.random.default_rng(0)
    for number in range(2000):
        place = forward(ARMS[number % 2], draw.uniform(LOW, HIGH))[:3, 3]
        assert (place > SPECS[ABSOLUTE].low[:3]).all() and (place < SPECS[ABSOLUTE].high[:3]).all()


def test_joints_are_as_they_were() -> None:
    targets = AT_HOME.astype(np.float32)
    assert action_of(BY_JOINTS, targets, AT_HOME + 1) is targets
    np.testing.assert_array_equal(targets_of(BY_JOINTS, targets, AT_HOME + 1), targets.astype(np.float64))
    assert Aloha.action_spec is SPECS[BY_JOINTS] and Aloha.action_spec.size == 14


def test_the_option_is_named_and_another_word_is_refused(no_options: None) -> None:
    assert read_options().named == "" and set(SPECS) == set(CONTROLS)
    for control in TOOLS:
        set_options("aloha", {"control": control})
        assert read_options().named == f", control={control}"
        assert Aloha.action_spec is SPECS[control] and Aloha.action_spec.size == 16
    set_options("aloha", {"control": "cartesion"})
    with pytest.raises(BadOption, match="control='cartesion' is not allowed: it must be one of joints, cartesian"):
        read_options()


@pytest.mark.slow
@needs_aloha
@pytest.mark.sim
@pytest.mark.parametrize("control", TOOLS)
def test_experts_demonstrate_it_and_their_actions_alone_do_the_task(
    control: str, aloha: dict[str, Any], no_options: None
) -> None:
    set_options("aloha", {**aloha, "control": control})
    env: Any = make("aloha", "can-opener-in-caddy", ObservationRequest(("proprio",)))
    episode = env.expert_episode(1)
    assert episode.success.any() and episode.actions.shape == (len(episode.success), 16)
    env.reset(1)
    done = False
    for number, (action, state) in enumerate(zip(episode.actions, episode.states, strict=True)):
        if number < 100:
            np.testing.assert_array_equal(env.state(), state)
        step = env.step_unseen(action)
        assert step.ended is None
        done |= step.success
    assert done
    zero = episode.actions[-1].copy()
    zero[3:7] = 0
    assert env.step_unseen(zero).ended == "a quaternion that says no rotation"
    env.close()
