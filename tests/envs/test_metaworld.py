"""MetaWorld: the contract, golden images, true geometry."""

from __future__ import annotations

import hashlib
from pathlib import Path

import mujoco
import numpy as np
import pytest
from PIL import Image
from scipy.spatial import cKDTree

from envs.camera import project
from envs.metaworld import WORKSPACE, MetaWorld
from envs.pool import EnvConfig, Pool
from envs.registry import make
from envs.spec import ObservationRequest
from envs.testing import EnvContract

GOLDEN = Path(__file__).parents[1] / "golden"
SUITE = (
    "reach",
    "lever-pull",
    "handle-pull",
    "peg-unplug-side",
    "dial-turn",
    "hammer",
    "sweep-into",
    "bin-picking",
    "push-wall",
    "box-close",
    "assembly",
    "hand-insert",
    "shelf-place",
    "pick-place-wall",
    "disassemble",
)
GEOMETRY = ("depth", "intrinsics", "extrinsics", "points", "points_valid", "proprio")


@pytest.mark.slow
@pytest.mark.gl
class TestMetaWorldSeeing(EnvContract):
    env, task = "metaworld", "hammer"
    fields = ("rgb", "depth", "intrinsics", "extrinsics", "points", "points_valid", "point_colors", "proprio")
    cameras = ("corner", "corner2")
    steps = 4


@pytest.mark.slow
@pytest.mark.sim
class TestMetaWorldBlind(EnvContract):
    env, task = "metaworld", "box-close"
    fields = ("proprio", "ground_truth")


@pytest.mark.slow
@pytest.mark.gl
@pytest.mark.parametrize("camera", ["corner", "corner2"])
def test_golden_pictures_are_upright_and_unmirrored(camera: str) -> None:
    env = make("metaworld", "hammer", ObservationRequest(fields=("rgb",), cameras=(camera,), height=96, width=96))
    frame = env.reset(0)["rgb"][0].astype(int)
    env.close()
    golden = np.asarray(Image.open(GOLDEN / f"hammer-{camera}.png").convert("RGB")).astype(int)
    difference = abs(frame - golden).mean()
    assert difference < 3
    for name, turned in (("upside down", golden[::-1]), ("mirrored", golden[:, ::-1]), ("turned", golden[::-1, ::-1])):
        assert abs(frame - turned).mean() > 5 * max(difference, 1), name


@pytest.mark.slow
@pytest.mark.gl
def test_the_picture_agrees_with_the_geometry() -> None:
    """The robot's base is to the left of and above the table's far edge where the camera's own pose says it is."""
    fields = ("rgb", "depth", "intrinsics", "extrinsics", "proprio")
    env = make("metaworld", "reach", ObservationRequest(fields=fields, cameras=("corner", "corner2")))
    observation = env.reset(0)
    hand = observation["proprio"][None, :3].astype(float)
    for view in range(2):
        pixel, distance = project(hand, observation["intrinsics"][view], observation["extrinsics"][view])
        column, row = pixel[0].astype(int)
        assert 0 <= column < 224, view
        assert 0 <= row < 224, view
        near = observation["depth"][view, row - 6 : row + 7, column - 6 : column + 7]
        assert abs(near - distance[0]).min() < 0.08, "nothing of the hand is where it projects to"
    env.close()


@pytest.mark.slow
@pytest.mark.gl
@pytest.mark.parametrize("task", ["hammer", "assembly"])
def test_depth_is_the_distance_that_ray_casting_finds(task: str) -> None:
    env = make("metaworld", task, ObservationRequest(("depth", "intrinsics", "extrinsics"), ("corner",)))
    observation = env.reset(0)
    depth, k, pose = (observation[name][0].astype(float) for name in ("depth", "intrinsics", "extrinsics"))
    rows, columns = np.mgrid[2:224:5, 2:224:5].reshape(2, -1)
    rays = np.linalg.inv(k) @ np.stack([columns + 0.5, rows + 0.5, np.ones(len(rows))])
    world = (pose[:3, :3] @ rays).T
    cast = []
    for direction in world:
        length = np.linalg.norm(direction)
        group = np.array([1, 1, 1, 0, 0, 0], np.uint8)  # groups that the renderer draws
        hit = mujoco.mj_ray(env._model, env._data, pose[:3, 3], direction / length, group, 1, -1, np.zeros(1, np.int32))
        cast.append(hit / length if hit >= 0 else np.inf)
    measured, cast = depth[rows, columns], np.array(cast)
    assert (np.isinf(measured) == np.isinf(cast)).mean() > 0.99
    both = np.isfinite(measured) & np.isfinite(cast)
    error = abs(measured[both] - cast[both])
    assert np.median(error) < 5e-4
    assert (error > 0.02).mean() < 0.02, "more than the edges and the sites, which ray casting does not see"


@pytest.mark.slow
@pytest.mark.gl
@pytest.mark.parametrize("task", ["reach", "hammer", "box-close", "assembly"])
def test_clouds_of_corner_and_corner2_overlap(task: str) -> None:
    """Chamfer from what corner sees to what corner2 sees, over the points that corner2 could see.

    Surfaces that are hidden from corner2 are left out by its depth image; points that would float in front of what
    it sees stay in, so a wrong frame cannot hide behind the mask.
    """
    views = {}
    for camera in ("corner", "corner2"):
        env = make("metaworld", task, ObservationRequest(fields=GEOMETRY, cameras=(camera,), num_points=20_000))
        views[camera] = env.reset(0)
        env.close()
    first, second = views["corner"], views["corner2"]
    cloud, other = (v["points"][v["points_valid"]].astype(float) for v in (first, second))

    def chamfer(points: np.ndarray) -> float:
        pixels, distance = project(points, second["intrinsics"][0], second["extrinsics"][0])
        column, row = np.floor(pixels).astype(int).T
        on = (column >= 0) & (column < 224) & (row >= 0) & (row < 224) & (distance > 0)
        seen = np.zeros(len(points), bool)
        seen[on] = distance[on] < second["depth"][0, row[on], column[on]] + 0.02
        assert seen.mean() > 0.2
        return float(cKDTree(other).query(points[seen])[0].mean())

    assert chamfer(cloud) < 0.02
    assert chamfer(cloud * [-1, 1, 1]) > 0.03, "the test would not notice a mirrored frame"
    assert ((cloud > WORKSPACE.low) & (cloud < WORKSPACE.high)).all()


@pytest.mark.slow
@pytest.mark.gl
@pytest.mark.parametrize("task", ["reach", "push-wall", "pick-place-wall", "box-close", "shelf-place"])
def test_the_goal_marker_is_in_the_cloud(task: str) -> None:
    """In these tasks the marker is the only sight of the goal: without it nothing says where to go."""
    found = {}
    for marker in (True, False):
        request = ObservationRequest(("points", "points_valid", "ground_truth"), ("corner",), goal_marker=marker)
        env = make("metaworld", task, request)
        observation = env.reset(1)
        cloud = observation["points"][observation["points_valid"]]
        goal = observation["ground_truth"][-3:]
        found[marker] = int((np.linalg.norm(cloud - goal, axis=1) < 0.03).sum())
        env.close()
    assert found[True] > found[False] + 3, found


DRAWN = ("geom_xpos", "geom_xmat", "site_xpos", "site_xmat", "cam_xpos", "cam_xmat", "light_xpos", "light_xdir")
LOOKS = ("geom_rgba", "geom_size", "geom_matid", "site_rgba", "site_size", "site_matid", "cam_fovy")


def drawn(env: MetaWorld) -> dict[str, np.ndarray]:
    """All that an image or a cloud of this moment is drawn from, in less time than one image takes."""
    found = {name: np.array(getattr(env._data, name)) for name in DRAWN}
    return found | {name: np.array(getattr(env._model, name)) for name in LOOKS} | dict(env.observe())


@pytest.mark.sim
@pytest.mark.slow
@pytest.mark.parametrize("task", MetaWorld.tasks)
def test_every_task_restores_its_states_and_seeds(task: str) -> None:
    """Reset moves bodies and sites in the model, so a state alone redraws another scene; and the first frame after a
    reset is stale in half the tasks unless the simulator is brought up to date."""
    env = make("metaworld", task, ObservationRequest(("proprio", "ground_truth")))
    assert isinstance(env, MetaWorld)
    env.reset(7)
    seen, states = [drawn(env)], [env.state()]
    for _ in range(4):
        env.step(env.expert_action())
        seen.append(drawn(env))
        states.append(env.state())
    assert not np.array_equal(seen[0]["geom_xpos"], seen[4]["geom_xpos"]), "nothing moved"
    env.reset(8)
    env.reset(7)
    for name, value in drawn(env).items():
        np.testing.assert_array_equal(value, seen[0][name], err_msg=f"{name} of the first frame")
    for step, state in enumerate(states):
        env.set_state(state)
        for name, value in drawn(env).items():
            np.testing.assert_array_equal(value, seen[step][name], err_msg=f"{name}, step {step}")
    env.close()


@pytest.mark.slow
@pytest.mark.sim
def test_the_same_seed_gives_the_same_state_hash_in_another_process() -> None:
    request = ObservationRequest(("proprio",))
    env = make("metaworld", "assembly", request)
    env.reset(11)
    here = hashlib.sha256(env.state().tobytes()).hexdigest()
    env.close()
    with Pool(EnvConfig("metaworld", "assembly", request), 1) as pool:
        ((_, episode),) = pool.map("expert_episode", [(11, 1)])
    assert hashlib.sha256(episode["states"][0].tobytes()).hexdigest() == here


@pytest.mark.slow
@pytest.mark.sim
@pytest.mark.parametrize("task", SUITE)
def test_the_experts_succeed(task: str) -> None:
    env = make("metaworld", task, ObservationRequest(("proprio",)))
    successes = 0
    for seed in range(4):
        env.reset(seed)
        successes += any(env.step(env.expert_action()).success for _ in range(200))
    env.close()
    assert successes >= 3


@pytest.mark.sim
def test_the_goal_is_in_the_ground_truth_at_every_step() -> None:
    """MetaWorld clips observations to a space that is cached while goals are hidden, which zeroes the goal."""
    env = make("metaworld", "reach", ObservationRequest(("ground_truth",)))
    goals = [env.reset(0)["ground_truth"][-3:]]
    goals += [env.step(env.expert_action()).observation["ground_truth"][-3:] for _ in range(3)]
    assert np.ptp(goals, axis=0).max() == 0
    assert goals[0][1] > 0.7
    env.close()


@pytest.mark.slow
@pytest.mark.gl
@pytest.mark.parametrize("render", ["paper", "fast"])
def test_depth_is_the_same_with_and_without_colour(render: str) -> None:
    frames = []
    for fields in (("rgb", "depth", "points", "points_valid"), ("depth", "points", "points_valid")):
        env = make("metaworld", "hammer", ObservationRequest(fields, ("corner",), 96, 96, render=render))
        frames.append(env.reset(2))
        env.close()
    for name in ("depth", "points", "points_valid"):
        np.testing.assert_array_equal(frames[0][name], frames[1][name])
    assert np.isinf(frames[0]["depth"]).mean() > 0.2, "the sky is infinitely far"
    assert np.ma.masked_invalid(frames[0]["depth"]).max() < 10


@pytest.mark.slow
@pytest.mark.gl
def test_lift3d_pictures_are_mirrored_and_fast_ones_differ() -> None:
    def frame(**options: str) -> np.ndarray:
        env = make("metaworld", "reach", ObservationRequest(("rgb",), ("corner",), 64, 64, **options))
        picture = env.reset(0)["rgb"][0]
        env.close()
        return picture

    paper = frame()
    np.testing.assert_array_equal(frame(image="lift3d"), paper[:, ::-1])
    difference = abs(frame(render="fast").astype(int) - paper).mean()
    assert 0.5 < difference < 15
