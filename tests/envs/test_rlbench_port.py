"""rlbench4-port: the contract, who succeeds and who must not, what actions do, states to the last bit."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from envs.errors import SpecMismatch
from envs.expert import expert_episode
from envs.pool import EnvConfig, Pool
from envs.registry import UnknownName, make
from envs.rlbench_port.env import NO_PATH, NO_ROTATION, OUTSIDE, RLBenchPort
from envs.spec import ObservationRequest
from envs.testing import EnvContract
from tests.simulations.rlbench_port import (
    another_episode,
    close_gripper,
    expert,
    noisy,
    nothing,
    play,
    random_poses,
    until_contact,
)

BLIND = ObservationRequest(("proprio", "ground_truth"))
STAY = np.array([0, 0, 0, 0, 0, 0, 1, 1], np.float32)


class Keyframes(EnvContract):
    """With moves that the arm can do; uniform draws would lead outside at once."""

    env, steps = "rlbench4-port", 3

    def actions(self) -> np.ndarray:
        draw = np.random.default_rng(0)
        turns = Rotation.from_rotvec(draw.uniform(-0.2, 0.2, (self.steps, 3))).as_quat()
        moves = draw.uniform((-0.05, -0.1, -0.2), (0.1, 0.1, 0.0), (self.steps, 3))
        return np.hstack([moves, turns, draw.integers(0, 2, (self.steps, 1))]).astype(np.float32)


@pytest.mark.slow
@pytest.mark.gl
class TestSeeing(Keyframes):
    task = "close-box"
    fields = (
        *("rgb", "depth", "intrinsics", "extrinsics", "points", "points_valid", "point_colors"),
        *("views", "views_valid", "proprio"),
    )
    cameras = ("front", "wrist")


@pytest.mark.slow
@pytest.mark.gl
def test_the_virtual_camera_on_the_hand_sees_the_fingers_wherever_the_hand_is() -> None:
    """And the one from above sees the table's middle in its middle; a single arm has no right hand."""
    fields = ("views", "views_valid")
    env = make("rlbench4-port", "close-box", ObservationRequest(fields, ("front", "left_shoulder", "right_shoulder")))
    env.reset(3)
    for _ in range(2):
        seen = env.observe()
        view, filled = seen["views"], seen["views_valid"]
        assert filled[:4].any((1, 2)).all() and not filled[4].any()
        hand = env.robot.robot_from_tip()
        near = (view[3][filled[3]][:, 1:] - hand[:3, 3]) @ hand[:3, :3]
        fingers = (abs(near[:, 0]) < 0.03) & (abs(near[:, 1]) < 0.1) & (near[:, 2] > -0.06) & (near[:, 2] < 0.02)
        assert fingers.sum() > 20
        row, column = np.argwhere(filled[0]).T
        x, y = view[0, row, column, 1:3].T
        depth = view[0, row, column, 0]
        focal = 112 / np.tan(np.deg2rad(30))
        np.testing.assert_allclose(np.floor(112 - focal * (x - 0.55) / depth), row, atol=1)
        np.testing.assert_allclose(np.floor(112 - focal * y / depth), column, atol=1)
        env.step(env.expert_action())
    env.close()


@pytest.mark.slow
@pytest.mark.sim
class TestBlind(Keyframes):
    task = "toilet-seat-down"
    fields = ("proprio", "ground_truth")


@pytest.fixture(scope="module", params=RLBenchPort.tasks)
def env(request: pytest.FixtureRequest) -> Iterator[Any]:
    found = make("rlbench4-port", request.param, BLIND)
    yield found
    found.close()


@pytest.fixture(scope="module")
def box() -> Iterator[Any]:
    found = make("rlbench4-port", "close-box", BLIND)
    yield found
    found.close()


@pytest.mark.slow
@pytest.mark.sim
def test_the_expert_succeeds(env: Any) -> None:
    assert [play(env, expert, seed) for seed in range(5)] == [(True, None)] * 5


@pytest.mark.slow
@pytest.mark.sim
def test_an_object_stays_as_it_is_while_nothing_is_done(env: Any) -> None:
    """MuJoCo lets a body touch its parent where that is fixed to the world: an overlap would throw the lid shut."""
    for seed in range(3):
        before = env.reset(seed)["ground_truth"]
        assert play(env, nothing, seed) == (False, None)
        np.testing.assert_allclose(env.observe()["ground_truth"], before, atol=0.02)


@pytest.mark.slow
@pytest.mark.sim
@pytest.mark.parametrize("player", [close_gripper, until_contact, random_poses])
def test_who_does_not_do_the_task_does_not_succeed(env: Any, player: Any) -> None:
    assert not any(play(env, player, seed)[0] for seed in range(4))


@pytest.mark.slow
@pytest.mark.sim
def test_wrong_targets_lower_success(env: Any) -> None:
    """Without noise the same five succeed (above); tests/simulations/rlbench_port.py has the curve."""
    assert sum(play(env, noisy(0.06), seed)[0] for seed in range(5)) <= 3


@pytest.mark.slow
@pytest.mark.sim
def test_the_object_has_to_be_looked_at(env: Any) -> None:
    """Places differ so much that what the expert does in one episode seldom does it in another."""
    assert sum(play(env, another_episode, seed)[0] for seed in range(8)) <= 3


@pytest.mark.sim
def test_a_demonstration_is_a_few_keyframes_of_the_declared_action(env: Any) -> None:
    episode = expert_episode(env, 1, 25, 0)
    assert 2 <= len(episode["actions"]) <= 5
    assert episode["success"].tolist() == [False] * (len(episode["actions"]) - 1) + [True]
    np.testing.assert_allclose(np.linalg.norm(episode["actions"][:, 3:7], axis=1), 1, atol=1e-6)
    assert (episode["actions"][:, 6] >= 0).all(), "of two quaternions of one turn the one with w >= 0"


@pytest.mark.slow
@pytest.mark.sim
def test_the_sign_of_the_hands_rotation_does_not_jump(env: Any) -> None:
    """A hand that points down has w = 0: by w >= 0 its quaternion would change sign there."""
    home = np.array([0.0, 0.99619472, 0.0, 0.08715574])
    for seed in range(4):
        seen = expert_episode(env, seed, 25, 0)["proprio"][:, 10:14]
        np.testing.assert_allclose(seen[0], home, atol=1e-6)
        assert (seen @ home > 0.3).all(), "the side of home, and far from where it would jump"


@pytest.mark.slow
@pytest.mark.sim
def test_a_seed_names_one_episode_in_any_process(env: Any) -> None:
    here = [expert_episode(env, seed, 25, 0) for seed in (5, 6, 5)]
    with Pool(EnvConfig("rlbench4-port", env.task, BLIND), 1) as pool:
        ((_, there),) = pool.map("expert_episode", [(5, 25, 0)])
    for name in ("states", "actions", "proprio"):
        np.testing.assert_array_equal(here[0][name], here[2][name])
        np.testing.assert_array_equal(here[0][name], there[name])
    assert not np.array_equal(here[0]["states"][0], here[1]["states"][0])


@pytest.mark.slow
@pytest.mark.sim
def test_a_seed_names_one_episode_under_any_kernel_of_linear_algebra(env: Any) -> None:
    """OpenBLAS chooses kernels by the CPU; another one's differ in the last bits of a product."""
    script = (
        "import sys; from envs.expert import expert_episode; from envs.registry import make\n"
        "from envs.spec import ObservationRequest\n"
        "env = make('rlbench4-port', sys.argv[1], ObservationRequest(('proprio', 'ground_truth')))\n"
        "for seed in (0, 3): sys.stdout.write(expert_episode(env, seed, 25, 0)['states'].tobytes().hex())\n"
    )
    command = [sys.executable, "-c", script, env.task]
    older = subprocess.run(
        command, env={**os.environ, "OPENBLAS_CORETYPE": "Sandybridge"}, capture_output=True, text=True, check=True
    ).stdout
    assert older == "".join(expert_episode(env, seed, 25, 0)["states"].tobytes().hex() for seed in (0, 3))


@pytest.mark.slow
@pytest.mark.sim
def test_the_version_names_these_episodes(env: Any) -> None:
    """Whoever changes them raises `RLBenchPort.version`: records, caches and demonstrations are named by it.

    Of seed 0: where the object is and its sizes; where the tip is after the expert's first step; the expert's steps.
    """
    assert RLBenchPort.version == "rlbench4-port==3"
    place, sizes, tip, steps = {
        "close-box": ((0.663981, 0.181612, 0), (0.172244, 0.199819, 0.109735), (0.691, -0.1426, 0.2398), 5),
        "close-laptop-lid": ((0.623981, 0.16074, 0), (0.192508, 0.269756, 0.015961), (0.655, -0.0471, 0.1685), 3),
        "toilet-seat-down": ((0.643981, 0.21074, 0), (0.192508, 0.149864, 0.159614), (0.6111, 0.4042, 0.3253), 4),
        "water-plants": ((0.546389, -0.115704, -0.0002), (0.091188, 0.056507, 0.077054), (0.5463, -0.1155, 0.2226), 5),
    }[env.task]
    truth = env.reset(0)["ground_truth"]
    np.testing.assert_allclose(truth[:3], place, atol=1e-5)
    np.testing.assert_allclose(truth[9:], sizes, atol=2e-6)
    np.testing.assert_allclose(env.step(env.expert_action()).observation["proprio"][7:10], tip, atol=1e-3)
    assert len(expert_episode(env, 0, 25, 0)["actions"]) == steps


@pytest.mark.slow
@pytest.mark.sim
def test_a_restored_state_goes_on_to_the_last_bit(env: Any) -> None:
    env.reset(2)
    env.step(env.expert_action())
    middle = env.state()
    on = []
    for _ in range(4):  # to the end, and what the expert has brought about by then
        action = env.expert_action()
        env.step(action)
        on.append((action, env.state()))
    other = make("rlbench4-port", env.task, BLIND)
    other.reset(7)
    other.reset(2)
    other.set_state(middle)
    np.testing.assert_array_equal(other.state(), middle)
    for action, state in on:
        np.testing.assert_array_equal(other.expert_action(), action, err_msg="where the expert is belongs to the state")
        other.step(action)
        np.testing.assert_array_equal(other.state(), state)
    other.close()
    with pytest.raises(ValueError, match="has shape"):
        env.set_state(middle[:-1])


@pytest.mark.sim
def test_the_hand_goes_where_it_is_sent(box: Any) -> None:
    box.reset(0)
    place, rotation = box.robot.tip()
    turn = Rotation.from_rotvec([0.1, -0.2, 0.3])
    move = np.array([0.05, 0.1, -0.15])
    expected = turn * Rotation.from_quat(rotation)
    ends = []
    for scale in (1.0, -2.5):
        box.reset(0)
        step = box.step(np.array([*move, *(scale * turn.as_quat()), 0], np.float32))
        ends.append(step.observation["proprio"])
        assert step.ended is None
    proprio = ends[0]
    np.testing.assert_allclose(proprio[7:10], place + move, atol=2e-3)
    assert (expected.inv() * Rotation.from_quat(proprio[10:14])).magnitude() < 0.01
    assert proprio[14] == 0, "the gripper was told to close"
    np.testing.assert_allclose(ends[1], ends[0], atol=1e-4, err_msg="neither sign nor length of a quaternion matters")
    opened = box.step(STAY).observation["proprio"]
    assert opened[14] == 1
    np.testing.assert_allclose(opened[7:10], proprio[7:10], atol=2e-3)


@pytest.mark.sim
@pytest.mark.parametrize(
    ("action", "why"),
    [
        ((0, 0, 0.6, 0, 0, 0, 1, 1), OUTSIDE),
        ((0, 0, 0, 0, 0, 0, 0, 1), NO_ROTATION),
        ((0.4, 0.6, -0.7, 0.9, 0, 0, 0.4, 1), NO_PATH),
    ],
)
def test_what_cannot_be_done_ends_the_episode_and_moves_nothing(box: Any, action: Any, why: str) -> None:
    before = box.reset(0)
    step = box.step(np.array(action, np.float32))
    assert (step.ended, step.success) == (why, False)
    np.testing.assert_array_equal(step.observation["proprio"], before["proprio"])


def test_requests_that_cannot_be_served() -> None:
    def request(**options: Any) -> ObservationRequest:
        return ObservationRequest(**{"fields": ("depth",), "cameras": ("front",)} | options)

    with pytest.raises(UnknownName, match="'frnt'.*'front'"):
        RLBenchPort.specs(request(cameras=("frnt",)))
    with pytest.raises(SpecMismatch, match="in one place"):
        RLBenchPort.specs(request(cameras=("front", "front")))
    with pytest.raises(SpecMismatch, match="wrist moves with the robot"):
        RLBenchPort.specs(request(cameras=("wrist@azimuth=10",)))
    with pytest.raises(SpecMismatch, match="turn the camera over"):
        RLBenchPort.specs(request(cameras=("overhead@elevation=10",)))
    with pytest.raises(SpecMismatch, match="at least one camera"):
        RLBenchPort.specs(request(cameras=()))
    with pytest.raises(SpecMismatch, match="no crop named 'lift3d'"):
        RLBenchPort.resolve(request(crop="lift3d"))
    with pytest.raises(UnknownName, match="close-bx.*close-box"):
        make("rlbench4-port", "close-bx", BLIND)
