"""rlbench4-port: rotations, the arm's frames and its paths, and what the cameras see of a scene that is known."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import mujoco
import numpy as np
import pytest
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from envs import rotations
from envs.camera import project
from envs.registry import make
from envs.rlbench_port import arm, planner
from envs.rlbench_port.places import CROP, MIDDLE
from envs.spec import ObservationRequest

GEOMETRY = ("depth", "intrinsics", "extrinsics", "points", "points_valid")


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
        (0, 0.333, 0),
        (0, 0, -np.pi / 2),
        (0, 0.316, np.pi / 2),
        (0.0825, 0, np.pi / 2),
        (-0.0825, 0.384, -np.pi / 2),
        (0, 0, np.pi / 2),
        (0.088, 0, np.pi / 2),
    ]
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
        hand = Rotation.from_matrix(pose[:3, :3]) * Rotation.from_rotvec([0, 0, 3 * np.pi / 4])
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


@pytest.mark.slow
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


@pytest.mark.slow
@pytest.mark.gl
def test_a_shifted_camera_sees_the_middle_where_it_was() -> None:
    seen = []
    for camera in ("front", "front@azimuth=20,elevation=5,distance=1.1"):
        env = make("rlbench4-port", "close-box", ObservationRequest(("intrinsics", "extrinsics", "depth"), (camera,)))
        for seed in (0, 1):
            observation = env.reset(seed)
        seen.append(
            (
                observation["extrinsics"][0],
                *project(MIDDLE[None], *(observation[name][0] for name in ("intrinsics", "extrinsics"))),
            )
        )
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


@pytest.mark.slow
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


@pytest.mark.slow
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
