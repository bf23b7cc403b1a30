"""Virtual views against a loop over pixels, and what must never reach one."""

from __future__ import annotations

import numpy as np
import pytest

from envs import camera, views
from envs.errors import SpecMismatch
from envs.metaworld import FIXED_VIEWS, MIDDLE, MetaWorld
from envs.registry import resolve
from envs.spec import ObservationRequest

FIXED = [view.pose() for view in FIXED_VIEWS]
CAMERA = camera.look_at(np.array([0.1, -0.2, 1.0]), np.array([0.0, 0.6, 0.0]), np.array([0.0, 0.0, 1.0]))


def cloud(count: int = 400) -> np.ndarray:
    return np.random.default_rng(0).uniform([-0.6, 0.3, 0.0], [0.6, 0.9, 0.5], (count, 3)).astype(np.float32)


def brute(points: np.ndarray, extrinsics: np.ndarray, size: int, fovy: float) -> np.ndarray:
    """Every pixel asks every point."""
    intrinsics = camera.intrinsics_from_fovy(fovy, size, size)
    pixels, depth = camera.project(points.astype(np.float64), intrinsics, extrinsics)
    picture = np.zeros((size, size, 4))
    for row in range(size):
        for column in range(size):
            here = (np.floor(pixels) == [column, row]).all(axis=1) & (depth > 0)
            if here.any():
                nearest = np.flatnonzero(here)[depth[here].argmin()]
                picture[row, column] = [depth[nearest], *points[nearest]]
    return picture


@pytest.mark.parametrize("chunk", [64, 100_000])
def test_the_nearest_point_of_each_pixel_wins(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(views, "CHUNK", chunk)
    points = cloud()
    pictures, filled = views.render_views(points, np.stack([CAMERA, *FIXED]), size=24)
    for picture, mask, extrinsics in zip(pictures, filled, [CAMERA, *FIXED], strict=True):
        expected = brute(points, extrinsics, 24, views.FOVY)
        np.testing.assert_array_equal(mask, expected[..., 0] > 0)
        np.testing.assert_allclose(picture, expected, atol=1e-5)
        assert 20 < mask.sum() < 400, "an uninformative test"


@pytest.mark.parametrize("splat", [3, 5])
def test_a_point_covers_a_square_and_the_nearest_wins(splat: int) -> None:
    points, size, reach = cloud(), 24, splat // 2
    single, mask = views.render_views(points, CAMERA[None], size=size)
    seen, filled = views.render_views(points, CAMERA[None], size=size, splat=splat)
    depth = np.where(mask[0], single[0, ..., 0], np.inf)
    for row in range(size):
        for column in range(size):
            around = (slice(max(0, at - reach), at + reach + 1) for at in (row, column))
            square = tuple(around)
            nearest = depth[square].min()
            assert filled[0, row, column] == np.isfinite(nearest)
            if filled[0, row, column]:
                drawn = single[0][square][depth[square] == nearest]
                assert seen[0, row, column].tolist() in drawn.tolist()
            else:
                assert not seen[0, row, column].any()
    assert mask.sum() < filled.sum() < filled.size, "an uninformative test"


def test_what_a_point_covers_names_views_and_nothing_else() -> None:
    said = {fields: ObservationRequest(fields, ("corner",), splat=3).canonical() for fields in (("views",), ("rgb",))}
    assert said["views",]["splat"] == 3 and "splat" not in said["rgb",]
    assert "splat" not in ObservationRequest(("views",), ("corner",)).canonical(), "names from before there was one"
    for wrong in (2, 0, 17):
        with pytest.raises(SpecMismatch, match="splat"):
            ObservationRequest(("views",), ("corner",), splat=wrong)


def test_equal_points_are_drawn_as_the_first() -> None:
    points = np.repeat(cloud(50), 3, axis=0)
    one, _ = views.render_views(points, CAMERA[None])
    other, _ = views.render_views(points[::3], CAMERA[None])
    np.testing.assert_array_equal(one, other)


def test_what_is_behind_padding_or_not_finite_is_never_seen() -> None:
    points = cloud()
    expected, mask = views.render_views(points, CAMERA[None])
    behind = 2 * CAMERA[:3, 3] - points
    padding = np.tile([0.0, 0.6, 0.3], (100, 1))
    broken = np.array([[np.nan, 0.5, 0.1], [np.inf, 0.5, 0.1], [0.0, -np.inf, 0.1]])
    more = np.concatenate([points, behind, broken, padding]).astype(np.float32)
    valid = np.arange(len(more)) < len(more) - len(padding)
    seen, filled = views.render_views(more, CAMERA[None], valid)
    np.testing.assert_array_equal(seen, expected)
    np.testing.assert_array_equal(filled, mask)
    assert not views.render_views(more[:0], CAMERA[None])[1].any(), "an empty cloud is an empty image"


def test_a_voxel_holds_the_mean_of_its_points() -> None:
    points = np.array([[0.0101, 0, 0], [0.0109, 0, 0], [0.0121, 0, 0], [-0.0001, 0, 0]], np.float32)
    merged = views.voxel_grid(points)
    np.testing.assert_allclose(np.sort(merged[:, 0]), [-0.0001, 0.0105, 0.0121], atol=1e-6)
    assert views.voxel_grid(points[:0]).shape == (0, 3)
    many = cloud(5000)
    coarse = views.voxel_grid(many, 0.05)
    cells = {tuple(cell) for cell in np.floor(many / 0.05).astype(int)}
    assert len(coarse) == len(cells)
    assert {tuple(cell) for cell in np.floor(coarse / 0.05).astype(int)} == cells


@pytest.mark.parametrize("scale", [0.05, 0.3, 1e4], ids=["crowded", "table", "too wide to sort with indices"])
def test_voxels_are_those_of_numpys_unique_to_the_last_bit(scale: float) -> None:
    points = (np.random.default_rng(3).normal(size=(20_000, 3)) * scale).astype(np.float32)
    cells = np.floor(points / views.VOXEL).astype(np.int64)
    _, place, counts = np.unique(cells, axis=0, return_inverse=True, return_counts=True)
    sums = [np.bincount(place.ravel(), weights=points[:, axis]) for axis in range(3)]
    expected = (np.stack(sums, axis=1) / counts[:, None]).astype(np.float32)
    np.testing.assert_array_equal(views.voxel_grid(points), expected)


def test_the_cap_is_the_same_every_time() -> None:
    points = cloud(1000)
    assert views.cap(points, 1000) is points
    few = views.cap(points, 300)
    assert len(few) == 300
    np.testing.assert_array_equal(few, views.cap(points, 300))
    assert {tuple(p) for p in few} <= {tuple(p) for p in points}


def test_look_at_puts_the_target_in_the_middle_and_up_upwards() -> None:
    for extrinsics in FIXED:
        np.testing.assert_allclose(extrinsics[:3, :3] @ extrinsics[:3, :3].T, np.eye(3), atol=1e-12)
        assert np.linalg.det(extrinsics[:3, :3]) == pytest.approx(1)
        intrinsics = camera.intrinsics_from_fovy(60, 224, 224)
        (middle, above), depth = camera.project(np.add(MIDDLE, [[0, 0, 0], [0, 0.05, 0.1]]), intrinsics, extrinsics)
        np.testing.assert_allclose(middle, [112, 112], atol=1e-6)
        assert depth[0] == pytest.approx(np.linalg.norm(extrinsics[:3, 3] - MIDDLE))
        assert above[1] < 112 or extrinsics[1, 3] == 0.9  # seen from the far side, further in y is lower
    with pytest.raises(ValueError, match="line of sight"):
        camera.look_at(np.zeros(3), np.array([0, 0, 1.0]), np.array([0, 0, 2.0]))


def test_views_name_their_recipe_and_leave_out_what_cannot_matter() -> None:
    request = resolve(MetaWorld, ObservationRequest(("views", "views_valid", "proprio"), ("corner",), num_points=5))
    facts = request.canonical()
    assert facts["views"] == views.VERSION
    assert "num_points" not in facts
    assert "sampler" not in facts
    assert facts["crop"] == {"low": [-0.6, 0.3, 0.005], "high": [0.6, 0.9, 2.0]}
    assert [one["name"] for one in facts["virtual_cameras"]] == list(views.NAMES[:4])
    without = resolve(MetaWorld, ObservationRequest(("points",), ("corner",))).canonical()
    assert not {"views", "virtual_cameras"} & set(without)


@pytest.mark.slow
@pytest.mark.gl
@pytest.mark.sim
def test_metaworlds_views_hold_its_cloud() -> None:
    request = ObservationRequest(("points", "points_valid", "views", "views_valid", "proprio"), ("corner", "corner2"))
    env = MetaWorld("hammer", request)
    observation = env.reset(3)
    pictures, filled = observation["views"], observation["views_valid"]
    assert pictures.shape == (5, 224, 224, 4)
    counts = filled.sum(axis=(1, 2))
    assert (counts[:4] > 300).all(), counts
    assert counts[4] == 0, "one arm, one wrist"
    assert not pictures[~filled].any()
    seen = pictures[filled][:, 1:]
    assert seen[:, 0].min() >= -0.6
    assert seen[:, 2].max() < 2
    # every point an image shows is one of the merged cloud: within the voxel's edge of a sampled neighbourhood
    sampled = observation["points"][observation["points_valid"]]
    gaps = np.linalg.norm(seen[::97, None] - sampled[None], axis=2).min(axis=1)
    assert gaps.max() < 0.08
    # and depth is the distance along the view's axis
    extrinsics = FIXED[0]
    local = (seen[: counts[0]] - extrinsics[:3, 3]) @ extrinsics[:3, 2]
    np.testing.assert_allclose(local, pictures[0][filled[0]][:, 0], atol=1e-4)
    # the wrist's camera follows the hand
    still = observation["views"].copy()
    for _ in range(10):
        after = env.step(np.array([1.0, 0, 0, 0], np.float32)).observation["views"]
    assert not np.array_equal(after[3], still[3])
    env.close()
