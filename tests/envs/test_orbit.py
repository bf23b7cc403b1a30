"""Cameras moved around the table."""

from __future__ import annotations

import numpy as np
import pytest

from envs import camera, metaworld
from envs.errors import SpecMismatch
from envs.metaworld import MetaWorld
from envs.registry import UnknownName, make
from envs.spec import ObservationRequest

MIDDLE = np.array(metaworld.MIDDLE)

FIELDS = ("rgb", "depth", "intrinsics", "extrinsics", "points", "points_valid")


def test_the_pivot_stays_where_it_was_in_the_picture() -> None:
    pose = camera.look_at(np.array([1.0, 0.2, 0.8]), MIDDLE, np.array([0.0, 0, 1]))
    k = camera.intrinsics_from_fovy(50, 100, 100)
    before, depth = camera.project(MIDDLE[None], k, pose)
    for orbit in (
        camera.Orbit(azimuth=35),
        camera.Orbit(elevation=20),
        camera.Orbit(distance=1.5),
        camera.Orbit(-20, -10, 0.8),
    ):
        place, rotation = orbit.move(pose[:3, 3], pose[:3, :3], MIDDLE)
        moved = np.eye(4)
        moved[:3, :3], moved[:3, 3] = rotation, place
        after, far = camera.project(MIDDLE[None], k, moved)
        assert np.allclose(after, before, atol=1e-6)
        assert far[0] == pytest.approx(depth[0] * orbit.distance)
        assert np.allclose(rotation @ rotation.T, np.eye(3)) and np.linalg.det(rotation) == pytest.approx(1)


def test_azimuth_elevation_and_distance_are_what_they_say() -> None:
    arm = np.array([1.0, 0, 0.5])

    def at(orbit: camera.Orbit) -> np.ndarray:
        return orbit.move(arm, np.eye(3), np.zeros(3))[0]

    assert np.allclose(at(camera.Orbit(azimuth=90)), [0, 1, 0.5])
    up = at(camera.Orbit(elevation=10))
    height = np.degrees(np.arctan2(0.5, 1.0))
    assert np.degrees(np.arctan2(up[2], np.hypot(up[0], up[1]))) == pytest.approx(height + 10)
    assert np.linalg.norm(up) == pytest.approx(np.linalg.norm(arm)) and up[1] == pytest.approx(0, abs=1e-12)
    assert np.allclose(at(camera.Orbit(distance=2)), 2 * arm)
    with pytest.raises(ValueError, match="turn the camera over"):
        at(camera.Orbit(elevation=70))


def test_names_of_shifted_cameras() -> None:
    assert camera.parse_camera("corner") == ("corner", None)
    assert camera.parse_camera("corner@azimuth=-10,distance=1.2") == ("corner", camera.Orbit(-10, 0, 1.2))
    for bad in (
        "corner@",
        "corner@roll=3",
        "corner@azimuth",
        "corner@azimuth=x",
        "corner@distance=0",
        "corner@azimuth=0",
        "corner@azimuth=nan",
    ):
        with pytest.raises(ValueError, match="camera corner"):
            camera.parse_camera(bad)


@pytest.mark.parametrize(
    ("cameras", "kind", "message"),
    [
        (("corner9@azimuth=1",), UnknownName, "MetaWorld camera"),
        (("corner@azimuth=0",), SpecMismatch, "it is corner"),
        (("gripperPOV@azimuth=5",), SpecMismatch, "moves with the robot"),
        (("corner", "corner@azimuth=5"), SpecMismatch, "one place at a time"),
    ],
)
def test_bad_cameras_are_refused_before_a_simulator_is_built(
    cameras: tuple[str, ...], kind: type, message: str
) -> None:
    with pytest.raises(kind, match=message):
        MetaWorld.specs(ObservationRequest(FIELDS, cameras))


@pytest.mark.slow
@pytest.mark.gl
@pytest.mark.sim
def test_the_simulator_moves_its_camera_and_the_cloud_stays_in_the_robots_frame() -> None:
    def seen(name: str) -> dict[str, np.ndarray]:
        env = make("metaworld", "hammer", ObservationRequest(FIELDS, (name,), 96, 96, render="fast"))
        try:
            return {key: np.array(value) for key, value in env.reset(3).items()}
        finally:
            env.close()

    plain, moved = seen("corner"), seen("corner@azimuth=20,elevation=10,distance=1.1")
    assert np.array_equal(plain["intrinsics"], moved["intrinsics"])
    orbit = camera.Orbit(20, 10, 1.1)
    place, _ = orbit.move(plain["extrinsics"][0, :3, 3], plain["extrinsics"][0, :3, :3], MIDDLE)
    assert np.allclose(moved["extrinsics"][0, :3, 3], place, atol=1e-5)
    for observation in (plain, moved):
        pixels, depth = camera.project(MIDDLE[None], observation["intrinsics"][0], observation["extrinsics"][0])
        assert (pixels > 0).all() and (pixels < 96).all() and depth[0] > 0
    assert (plain["rgb"] != moved["rgb"]).mean() > 0.2
    ours, theirs = (o["points"][o["points_valid"]] for o in (plain, moved))
    nearest = np.sqrt(((ours[:, None] - theirs[None]) ** 2).sum(-1)).min(axis=1)
    assert np.median(nearest) < 0.02, "the same scene, in the same frame"
