"""rlbench4-port: the contract, who succeeds and who must not, true geometry, states to the last bit."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import mujoco
import numpy as np
import pytest
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from envs.camera import project
from envs.expert import expert_episode
from envs.pool import EnvConfig, Pool
from envs.registry import UnknownName, make
from envs.rlbench_port import arm, planner, rotations
from envs.rlbench_port.env import NO_PATH, NO_ROTATION, OUTSIDE, RLBenchPort
from envs.rlbench_port.places import CROP, MIDDLE
from envs.spec import ObservationRequest, SpecMismatch
from envs.testing import EnvContract
from tests.simulations.rlbench_port import (
    close_gripper,
    expert,
    noisy,
    nothing,
    play,
    random_poses,
    until_contact,
)

BLIND = ObservationRequest(("proprio", "ground_truth"))
GEOMETRY = ("depth", "intrinsics", "extrinsics", "points", "points_valid")
STAY = np.array([0, 0, 0, 0, 0, 0, 1, 1], np.float32)


class Keyframes(EnvContract):
    """With moves that the arm can do; uniform draws would lead outside at once."""

    env, steps = "rlbench4-port", 3

    def actions(self) -> np.ndarray:
        draw = np.random.default_rng(0)
        turns = Rotation.from_rotvec(draw.uniform(-0.2, 0.2, (self.steps, 3))).as_quat()
        moves = draw.uniform((-0.05, -0.1, -0.2), (0.1, 0.1, 0.0), (self.steps, 3))
        return np.hstack([moves, turns, draw.integers(0, 2, (self.steps, 1))]).astype(np.float32)


@pytest.mark.gl
class TestSeeing(Keyframes):
    task = "close-box"
    fields = ("rgb", "depth", "intrinsics", "extrinsics", "points", "points_valid", "point_colors", "proprio")
    cameras = ("front", "wrist")


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


@pytest.mark.sim
def test_the_expert_succeeds(env: Any) -> None:
    assert [play(env, expert, seed) for seed in range(5)] == [(True, None)] * 5


@pytest.mark.sim
def test_an_object_stays_open_while_nothing_is_done(env: Any) -> None:
    """MuJoCo lets a body touch its parent where that is fixed to the world: an overlap would throw the lid shut."""
    for seed in range(3):
        opening = env.reset(seed)["ground_truth"][8]
        assert play(env, nothing, seed) == (False, None)
        assert env.robot.hinge() > 0.97 * opening


@pytest.mark.sim
@pytest.mark.parametrize("player", [close_gripper, until_contact, random_poses])
def test_who_does_not_do_the_task_does_not_succeed(env: Any, player: Any) -> None:
    assert not any(play(env, player, seed)[0] for seed in range(4))


@pytest.mark.sim
def test_wrong_targets_lower_success(env: Any) -> None:
    """Without noise the same five succeed (above); tests/simulations/rlbench_port.py has the curve."""
    assert sum(play(env, noisy(0.06), seed)[0] for seed in range(5)) <= 3


@pytest.mark.sim
def test_a_demonstration_is_a_few_keyframes_of_the_declared_action(env: Any) -> None:
    episode = expert_episode(env, 1, 25, 0)
    assert 2 <= len(episode["actions"]) <= 5
    assert episode["success"].tolist() == [False] * (len(episode["actions"]) - 1) + [True]
    np.testing.assert_allclose(np.linalg.norm(episode["actions"][:, 3:7], axis=1), 1, atol=1e-6)
    assert (episode["actions"][:, 6] >= 0).all(), "of two quaternions of one turn the one with w >= 0"
    assert (episode["proprio"][:, 13] >= 0).all()


@pytest.mark.sim
def test_a_seed_names_one_episode_in_any_process(env: Any) -> None:
    here = [expert_episode(env, seed, 25, 0) for seed in (5, 6, 5)]
    with Pool(EnvConfig("rlbench4-port", env.task, BLIND), 1) as pool:
        ((_, there),) = pool.map("expert_episode", [(5, 25, 0)])
    for name in ("states", "actions", "proprio"):
        np.testing.assert_array_equal(here[0][name], here[2][name])
        np.testing.assert_array_equal(here[0][name], there[name])
    assert not np.array_equal(here[0]["states"][0], here[1]["states"][0])


@pytest.mark.sim
def test_the_version_names_these_episodes(env: Any) -> None:
    """Whoever changes them raises `RLBenchPort.version`: records, caches and demonstrations are named by it.

    Of seed 0: where the object is and its sizes; where the tip is after the expert's first step; the expert's steps.
    """
    assert RLBenchPort.version == "rlbench4-port==1"
    place, sizes, tip, steps = {
        "close-box": ((0.465664, -0.037572, 0), (0.182802, 0.211949, 0.117443), (0.511, -0.3742, 0.2526), 5),
        "close-laptop-lid": ((0.566389, 0.078189, 0), (0.192508, 0.269756, 0.015961), (0.5965, -0.1236, 0.1463), 3),
        "toilet-seat-down": ((0.588256, 0.086041, 0), (0.192508, 0.149864, 0.159614), (0.5555, 0.2795, 0.3254), 3),
    }[env.task]
    truth = env.reset(0)["ground_truth"]
    np.testing.assert_allclose(truth[:3], place, atol=2e-6)
    np.testing.assert_allclose(truth[9:], sizes, atol=2e-6)
    np.testing.assert_allclose(env.step(env.expert_action()).observation["proprio"][7:10], tip, atol=1e-3)
    assert len(expert_episode(env, 0, 25, 0)["actions"]) == steps


@pytest.mark.sim
def test_a_restored_state_goes_on_to_the_last_bit(env: Any) -> None:
    env.reset(2)
    env.step(env.expert_action())
    middle = env.state()
    on = []
    for _ in range(2):
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
    with pytest.raises(SpecMismatch, match="cannot give.*views"):
        RLBenchPort.specs(request(fields=("views",)))
    with pytest.raises(SpecMismatch, match="no crop named 'lift3d'"):
        RLBenchPort.resolve(request(crop="lift3d"))
    with pytest.raises(UnknownName, match="close-bx.*close-box"):
        make("rlbench4-port", "close-bx", BLIND)


def test_quaternions_are_those_of_scipy() -> None:
    draw = np.random.default_rng(3)
    for _ in range(50):
        a, b = Rotation.random(2, random_state=draw)
        x, y = a.as_quat(), b.as_quat()
        np.testing.assert_allclose(rotations.to_matrix(x), a.as_matrix(), atol=1e-12)
        np.testing.assert_allclose(rotations.from_matrix(a.as_matrix()), rotations.canonical(x), atol=1e-12)
        np.testing.assert_allclose(Rotation.from_quat(rotations.multiply(x, y)).as_matrix(), (a * b).as_matrix())
        half = Rotation.from_quat(rotations.between(x, y, 0.5))
        assert (a.inv() * half).magnitude() == pytest.approx((half.inv() * b).magnitude())
        np.testing.assert_allclose(rotations.rotation_vector(x), a.as_rotvec(), atol=1e-9)


def test_the_arm_has_frankas_frames() -> None:
    """Forward kinematics by the Denavit-Hartenberg parameters alone."""
    draw = np.random.default_rng(0)
    kinematics = planner.Planner()
    parameters = [  # a, d, alpha: docs of the Franka Control Interface
        (0, 0.333, 0), (0, 0, -np.pi / 2), (0, 0.316, np.pi / 2), (0.0825, 0, np.pi / 2), (-0.0825, 0.384, -np.pi / 2),
        (0, 0, np.pi / 2), (0.088, 0, np.pi / 2),
    ]  # fmt: skip
    for _ in range(5):
        joints = draw.uniform(arm.LOW, arm.HIGH)
        pose = np.eye(4)
        for (a, d, alpha), angle in zip(parameters, joints, strict=True):
            tilt, turn = np.eye(4), np.eye(4)
            tilt[:3, :3], tilt[0, 3] = Rotation.from_rotvec([alpha, 0, 0]).as_matrix(), a
            turn[:3, :3], turn[2, 3] = Rotation.from_rotvec([0, 0, angle]).as_matrix(), d
            pose = pose @ tilt @ turn
        pose[:3, 3] += pose[:3, 2] * (0.107 + 0.1034)
        place, rotation = kinematics.pose(joints)
        np.testing.assert_allclose(place, pose[:3, 3], atol=1e-7)
        hand = Rotation.from_matrix(pose[:3, :3]) * Rotation.from_rotvec([0, 0, -np.pi / 4])
        assert (hand.inv() * Rotation.from_quat(rotation)).magnitude() < 1e-6


def test_a_timed_path_keeps_to_its_speed_and_acceleration() -> None:
    path = np.outer(np.linspace(0, 1, 20) ** 2, np.ones(7)) * 0.5
    for length in (path, 0.02 * path):
        rows = np.vstack([length[:1], planner.timed(length, 0.01)])
        np.testing.assert_allclose(rows[-1], length[-1], atol=1e-12)
        speeds = np.linalg.norm(np.diff(rows, axis=0), axis=1) / 0.01
        assert speeds.max() <= planner.SPEED + 1e-9
        assert abs(np.diff(speeds)[:-1]).max() / 0.01 <= planner.ACCELERATION + 1e-6
    np.testing.assert_array_equal(planner.timed(path[:1], 0.01), path[:1])


def blue(picture: np.ndarray) -> np.ndarray:
    """Pixels (row, column) of the box's fixed part, whose colour nothing else has."""
    red, _, own = (picture[..., channel].astype(float) for channel in range(3))
    return np.argwhere(own > 1.5 * red)


@pytest.mark.gl
@pytest.mark.parametrize("seed", [0, 1])
def test_corners_are_seen_where_they_project_to(seed: int) -> None:
    """The blue of the box reaches just as far as the corners of its base do, from above and by all of them."""
    fields = ("rgb", "intrinsics", "extrinsics", "ground_truth")
    env = make("rlbench4-port", "close-box", ObservationRequest(fields, ("front", "right_shoulder"), render="fast"))
    observation = env.reset(seed)
    truth = observation["ground_truth"].astype(float)
    corners = np.array([[x, y, z] for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (0, 1)]) * truth[9:12]
    world = truth[:3] + Rotation.from_quat(truth[3:7]).apply(corners)
    pixels, distance = project(world, observation["intrinsics"][0], observation["extrinsics"][0])
    seen = blue(observation["rgb"][0])[:, ::-1] + 0.5
    env.close()
    assert (distance > 1).all()
    np.testing.assert_allclose(seen.max(0), pixels.max(0), atol=1.5)
    assert abs(seen.min(0)[1] - pixels.min(0)[1]) < 1.5, "its top, which the lid does not hide"


@pytest.mark.gl
def test_a_shifted_camera_sees_the_middle_where_it_was() -> None:
    seen = []
    for camera in ("front", "front@azimuth=20,elevation=5,distance=1.1"):
        env = make("rlbench4-port", "close-box", ObservationRequest(("intrinsics", "extrinsics", "depth"), (camera,)))
        for seed in (0, 1):
            observation = env.reset(seed)
        seen.append((observation["extrinsics"][0], *project(MIDDLE[None], *(observation[name][0] for name in (
            "intrinsics", "extrinsics")))))  # fmt: skip
        env.close()
    (before, pixel, distance), (after, moved, further) = seen
    np.testing.assert_allclose(moved, pixel, atol=0.05)
    assert further[0] == pytest.approx(1.1 * distance[0], rel=1e-4)
    assert np.linalg.norm(after[:3, 3] - before[:3, 3]) > 0.2, "it stays moved after a reset"


@pytest.fixture(scope="module")
def seen() -> Iterator[tuple[Any, Any]]:
    request = ObservationRequest(GEOMETRY, ("front", "overhead", "wrist"), num_points=20_000)
    env = make("rlbench4-port", "toilet-seat-down", request)
    env.reset(0)
    yield env, env.step(env.expert_action()).observation
    env.close()


@pytest.mark.gl
@pytest.mark.parametrize("view", [0, 2])
def test_depth_is_the_distance_that_ray_casting_finds(seen: Any, view: int) -> None:
    env, observation = seen
    depth, k, pose = (observation[name][view].astype(float) for name in ("depth", "intrinsics", "extrinsics"))
    rows, columns = np.mgrid[2:224:6, 2:224:6].reshape(2, -1)
    world = (pose[:3, :3] @ np.linalg.inv(k) @ np.stack([columns + 0.5, rows + 0.5, np.ones(len(rows))])).T
    cast = []
    for direction in world:
        length = np.linalg.norm(direction)
        group = np.array([1, 1, 1, 0, 0, 0], np.uint8)  # groups that the renderer draws
        nothing = np.zeros(1, np.int32)
        hit = mujoco.mj_ray(env.model, env.robot.data, pose[:3, 3], direction / length, group, 1, -1, nothing)
        cast.append(hit / length if hit >= 0 else np.inf)
    measured, cast = depth[rows, columns], np.array(cast)
    assert (np.isinf(measured) == np.isinf(cast)).mean() > 0.98
    both = np.isfinite(measured) & np.isfinite(cast)
    assert both.mean() > 0.5
    error = abs(measured[both] - cast[both])
    assert np.median(error) < 5e-4
    assert (error > 0.02).mean() < 0.03, "more than the edges"


@pytest.mark.gl
def test_clouds_of_two_cameras_overlap(seen: Any) -> None:
    """What front sees and overhead does not hide lies on what overhead sees, to some millimetres."""
    env, both = seen
    state = env.state()
    clouds = []
    for camera in ("front", "overhead"):
        one = make("rlbench4-port", env.task, ObservationRequest(GEOMETRY, (camera,), num_points=20_000))
        one.reset(0)
        one.set_state(state)
        found = one.observe()
        clouds.append(found["points"][found["points_valid"]].astype(float))
        one.close()
    front, overhead = clouds
    assert len(front) > 1_000
    pixels, distance = project(front, both["intrinsics"][1], both["extrinsics"][1])
    column, row = np.floor(pixels).astype(int).T
    on = (column >= 0) & (column < 224) & (row >= 0) & (row < 224)
    visible = np.zeros(len(front), bool)
    visible[on] = distance[on] < both["depth"][1, row[on], column[on]] + 0.02
    assert visible.sum() > 300
    gap = cKDTree(overhead).query(front[visible])[0]
    assert gap.mean() < 0.01
    mirrored = cKDTree(overhead).query(front[visible] * [1, -1, 1])[0]
    assert mirrored.mean() > 0.02, "the test would not notice a mirrored frame"
    assert all(((cloud > CROP.low) & (cloud < CROP.high)).all() for cloud in clouds), "no table in the clouds"
