"""Layouts of virtual views: known points lie where geometry says, each camera sees the workspace, and the five stay."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from envs import views
from envs.base import Env
from envs.errors import SpecMismatch
from envs.registry import env_class, make, resolve
from envs.spec import ObservationRequest
from envs.view_layouts import DOME, FIVE, LAYOUTS, ORTHOGONAL, virtual_cameras

LOW, HIGH = (-0.5, 0.2, 0.0), (0.7, 0.8, 0.6)
MIDDLE, EDGE = np.array([0.1, 0.5, 0.3]), 1.2
TWO_ARMS = f"{Path(__file__).parents[1] / 'toy_bimanual.py'}:Bimanual"
SIMULATORS = {"metaworld": "corner", "aloha": "front-left", "rlbench4-port": "front", TWO_ARMS: "front-left"}
FIELDS = ("views", "views_valid")


def drawn(layout: str, points: np.ndarray, splat: int = 1) -> tuple[np.ndarray, np.ndarray, Any]:
    """As simulators draw them."""
    cameras = virtual_cameras(layout, (), LOW, HIGH)
    poses, across = np.stack([one.pose() for one in cameras]), [one.across for one in cameras]
    size = LAYOUTS[layout].size
    return *views.render_views(points.astype(np.float32), poses, size=size, splat=splat, across=across), cameras


def test_known_points_lie_where_their_faces_of_the_cube_say() -> None:
    point = MIDDLE + np.array([0.303, -0.152, 0.211])  # on no pixel's edge
    pictures, filled, cameras = drawn(ORTHOGONAL, point[None])
    assert [one.name for one in cameras] == ["top", "+x", "-x", "+y", "-y"] and filled.sum() == 5
    x, y, z = (point - MIDDLE) / EDGE * 224
    # from above north is up and east to the right; from +x one looks along -x, and +y is to the right
    expected = {"top": (x, -y, -z), "+x": (y, -z, -x), "-x": (-y, -z, x), "+y": (-x, -z, -y), "-y": (x, -z, y)}
    for picture, mask, (name, (right, down, away)) in zip(pictures, filled, expected.items(), strict=True):
        ((row, column),) = np.argwhere(mask)
        assert (row, column) == (math.floor(112 + down), math.floor(112 + right)), name
        np.testing.assert_allclose(picture[row, column, 1:], point, atol=1e-6)
        assert picture[row, column, 0] == pytest.approx(EDGE + away / 224 * EDGE, abs=1e-5), "one edge to the middle"


def test_parallel_rays_keep_sizes_and_the_nearest_wins() -> None:
    """A square of points far away covers as many pixels as one nearby, which hides it."""
    grid = np.stack([*np.meshgrid(*[np.arange(-0.1, 0.1, 0.002)] * 2, indexing="ij"), np.zeros((100, 100))], -1)
    grid = grid.reshape(-1, 3) + MIDDLE
    near, far = (grid + np.array([0, 0, height]) for height in (0.2, -0.2))
    one, mask, _ = drawn(ORTHOGONAL, near)
    other, same, _ = drawn(ORTHOGONAL, far)
    both, filled, _ = drawn(ORTHOGONAL, np.concatenate([far, near]))
    np.testing.assert_array_equal(mask[0], same[0])
    assert mask[0].sum() == pytest.approx((0.2 / EDGE * 224) ** 2, rel=0.06)
    np.testing.assert_array_equal(both[0], one[0])
    np.testing.assert_allclose((other[0] - one[0])[mask[0]][:, 0], 0.4, atol=1e-5)
    assert filled[1].sum() == mask[1].sum() + same[1].sum(), "from the side both are seen, a line each"


def test_the_dome_is_even_and_each_of_its_cameras_sees_the_whole_workspace() -> None:
    cameras = virtual_cameras(DOME, (), LOW, HIGH)
    assert len(cameras) == len({one.name for one in cameras}) == 16 and LAYOUTS[DOME].size == 96
    eyes = np.array([one.eye for one in cameras]) - MIDDLE
    away = np.linalg.norm(eyes, axis=1)
    assert np.ptp(away) < 1e-5 and away[0] == pytest.approx(np.linalg.norm(np.subtract(HIGH, LOW)))
    assert (eyes[:, 2] >= away * 0.5 - 1e-5).all(), "none is lower than 30 degrees"
    between = np.degrees(np.arccos(np.clip(eyes @ eyes.T / away[0] ** 2, -1, 1))) + 999 * np.eye(16)
    assert 29 < between.min() < 31 and between.min(axis=0).max() < 37, "neighbours are about as far apart everywhere"
    corners = np.array([[x, y, z] for x in (LOW[0], HIGH[0]) for y in (LOW[1], HIGH[1]) for z in (LOW[2], HIGH[2])])
    pictures, filled, _ = drawn(DOME, np.concatenate([0.999 * (corners - MIDDLE) + MIDDLE, MIDDLE[None]]))
    for picture, mask in zip(pictures, filled, strict=True):
        seen = picture[mask][:, 1:]
        assert len(seen) >= 5
        central = picture[47:49, 47:49, 1:].reshape(-1, 3)  # the middle lies on the corner of four pixels
        assert np.isclose(central, MIDDLE, atol=1e-5).all(axis=1).any()
    for corner in 0.999 * (corners - MIDDLE) + MIDDLE:
        assert drawn(DOME, corner[None])[1].sum(axis=(1, 2)).tolist() == [1] * 16, "each corner is seen by all"


def test_the_five_stay_what_they_were() -> None:
    own = (views.VirtualCamera("overhead", (0.0, 0.0, 1.0), (0.0, 0.0, 0.0), (0.0, 1.0, 0.0)),)
    assert virtual_cameras(FIVE, own, LOW, HIGH) == own
    plain = {"name": "overhead", "eye": [0.0, 0.0, 1.0], "target": [0.0] * 3, "up": [0.0, 1.0, 0.0], "on_hand": False}
    assert own[0].plain() == plain, "keys from before there was another projection"
    assert LAYOUTS[FIVE].version == views.VERSION == "5x224, fovy 60.0, voxel 0.001, at most 300000, first"


@pytest.mark.parametrize(("name", "camera"), SIMULATORS.items(), ids=["metaworld", "aloha", "port", "two-arms"])
def test_every_simulator_has_every_layout_and_each_is_another_key(name: str, camera: str) -> None:
    kind: type[Env] = env_class(name)
    keys = {}
    for layout, told in LAYOUTS.items():
        request = resolve(kind, ObservationRequest(FIELDS, (camera,), layout=layout))
        assert {one.name for one in request.virtual or ()} <= set(told.tiles)
        assert resolve(kind, request) == request
        specs = kind.specs(request)
        assert specs["views"].shape == (len(told.tiles), told.size, told.size, 4)
        assert specs["views_valid"].shape == specs["views"].shape[:3]
        said = request.canonical()
        assert said["views"] == told.version and said.get("layout", FIVE) == layout
        keys[json.dumps(said)] = layout
    assert len(keys) == len(LAYOUTS)
    plain = resolve(kind, ObservationRequest(FIELDS, (camera,)))
    assert "layout" not in plain.canonical() and "across" not in json.dumps(plain.canonical())
    assert "layout" not in ObservationRequest(("rgb",), (camera,), layout=DOME).canonical(), "it cannot matter"


def test_a_layout_that_nobody_knows_or_a_simulator_does_not_place_is_refused() -> None:
    with pytest.raises(SpecMismatch, match="layout='ring' is none of"):
        ObservationRequest(FIELDS, layout="ring")

    class Without:
        name = "without"

    assert resolve(Without, ObservationRequest(FIELDS)).layout == FIVE  # type: ignore[arg-type]
    with pytest.raises(SpecMismatch, match="without places no cameras for the layout dome of virtual views"):
        resolve(Without, ObservationRequest(FIELDS, layout=DOME))  # type: ignore[arg-type]
    own = resolve(env_class(TWO_ARMS), ObservationRequest(FIELDS, ("front-left",))).virtual
    with pytest.raises(SpecMismatch, match="places no cameras for the layout orthogonal"):
        resolve(env_class(TWO_ARMS), ObservationRequest(FIELDS, ("front-left",), virtual=own, layout=ORTHOGONAL))


@pytest.mark.gl
@pytest.mark.parametrize("layout", [ORTHOGONAL, DOME])
def test_two_arms_and_their_table_are_seen_from_everywhere(layout: str) -> None:
    request = ObservationRequest(FIELDS, ("front-left", "back-right"), 240, 320, splat=3, layout=layout)
    env: Any = make(TWO_ARMS, "touch-two", request)
    seen = env.reset(0)
    env.close()
    pictures, filled = seen["views"], seen["views_valid"]
    assert (filled.sum(axis=(1, 2)) > 0.01 * filled[0].size).all()
    assert not pictures[~filled].any() and (pictures[filled][:, 0] > 0.3).all()
    for camera, picture, mask in zip(env.request.virtual, pictures, filled, strict=True):
        pose = camera.pose()
        local = (picture[mask][:, 1:] - pose[:3, 3]) @ pose[:3, :3]
        np.testing.assert_allclose(local[:, 2], picture[mask][:, 0], atol=1e-4)
        scale = camera.across / 2 if camera.across else local[:, 2:] * math.tan(math.radians(views.FOVY / 2))
        rows, columns = np.nonzero(mask)
        size = len(mask)
        expected = np.stack([columns + 0.5, rows + 0.5], axis=1)
        assert np.abs((local[:, :2] / scale + 1) * size / 2 - expected).max() < 1.51, "within its square of 3 x 3"
