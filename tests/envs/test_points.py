import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envs import points
from envs.camera import extrinsics_from_mujoco, intrinsics_from_fovy, project
from envs.crop import Crop

INTRINSICS = intrinsics_from_fovy(50.0, 48, 64)
LOOKING_DOWN = extrinsics_from_mujoco(np.array([0.1, 0.2, 1.5]), np.eye(3))


def brute_force_fps(cloud: np.ndarray, count: int, start: int) -> np.ndarray:
    chosen = [start]
    while len(chosen) < count:
        distance = ((cloud[:, None] - cloud[chosen][None]) ** 2).sum(-1).min(1)
        chosen.append(int(distance.argmax()))
    return np.array(chosen)


@given(st.integers(0, 2**31), st.integers(2, 40))
@settings(max_examples=30, deadline=None)
def test_exact_sampling_is_farthest_point_sampling_from_index_0(seed: int, count: int) -> None:
    cloud = np.random.default_rng(seed).random((60, 3)).astype(np.float32)
    assert points.farthest_points(cloud, count).tolist() == brute_force_fps(cloud, count, 0).tolist()


@pytest.mark.slow
def test_bucket_sampling_is_exact_from_its_own_start_and_repeatable() -> None:
    cloud = np.random.default_rng(0).random((900, 3)).astype(np.float32)
    chosen = points.sample(cloud, 200, "bucket")
    assert chosen.tolist() == brute_force_fps(cloud, 200, int(chosen[0])).tolist()
    assert chosen.tolist() == points.sample(cloud.copy(), 200, "bucket").tolist()


@pytest.mark.parametrize("sampler", ["bucket", "exact"])
@pytest.mark.parametrize("size", [0, 1, 7, 8])
def test_small_clouds_are_taken_whole_and_padded_with_masked_rows(sampler: str, size: int) -> None:
    cloud = np.random.default_rng(0).random((size, 3)).astype(np.float32) + 1
    padded, valid = points.pad(cloud[points.sample(cloud, 8, sampler)], 8)
    assert valid.sum() == size
    np.testing.assert_array_equal(padded[:size], cloud)
    assert not padded[size:].any()


def test_back_projection_inverts_projection() -> None:
    depth = np.random.default_rng(0).uniform(0.5, 1.4, (48, 64)).astype(np.float32)
    cloud, index = points.BackProjection(INTRINSICS, LOOKING_DOWN, 48, 64, None)(depth)
    pixels, distance = project(cloud, INTRINSICS, LOOKING_DOWN)
    rows, columns = np.divmod(index, 64)
    np.testing.assert_allclose(pixels, np.stack([columns + 0.5, rows + 0.5], 1), atol=1e-3)
    np.testing.assert_allclose(distance, depth.ravel(), atol=1e-5)


@given(st.integers(0, 2**31))
@settings(max_examples=40, deadline=None)
def test_the_crop_by_depths_is_the_crop_by_points(seed: int) -> None:
    draw = np.random.default_rng(seed)
    depth = draw.uniform(0.05, 3, (48, 64)).astype(np.float32)
    low = draw.uniform(-0.6, 0.1, 3)
    crop = Crop(tuple(low), tuple(low + draw.uniform(0.05, 1.0, 3)))
    rotation, _ = np.linalg.qr(draw.normal(size=(3, 3)))
    pose = extrinsics_from_mujoco(draw.uniform(-1, 1, 3), rotation * np.sign(np.linalg.det(rotation)))
    everything, _ = points.BackProjection(INTRINSICS, pose, 48, 64, None)(depth)
    inside = ((everything > crop.low) & (everything < crop.high)).all(1)
    margin = np.minimum(abs(everything - np.array(crop.low)), abs(everything - np.array(crop.high))).min(1)
    cloud, index = points.BackProjection(INTRINSICS, pose, 48, 64, crop)(depth)
    found = np.zeros(depth.size, bool)
    found[index] = True
    assert (found == inside)[margin > 1e-5].all()
    np.testing.assert_allclose(cloud, everything[found], atol=1e-5)


def test_infinite_and_nan_depth_give_no_points() -> None:
    depth = np.full((48, 64), np.inf, np.float32)
    depth[3, 4], depth[5, 6] = np.nan, 1.0
    for crop in (None, Crop((-9.0, -9.0, -9.0), (9.0, 9.0, 9.0))):
        cloud, index = points.BackProjection(INTRINSICS, LOOKING_DOWN, 48, 64, crop)(depth)
        finite = cloud[np.isfinite(cloud).all(1)]
        assert len(finite) == len(cloud) == 1, crop
        assert index.tolist() == [5 * 64 + 6]
