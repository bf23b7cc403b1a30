"""Depth images to a point cloud in the robot frame: back-projection, crop, farthest-point sampling."""

from __future__ import annotations

import numpy as np

from envs.spec import Crop


class BackProjection:
    """Depth to robot-frame points for one camera, with the pixel rays computed once.

    rays: (H*W, 3) float32, the robot-frame displacement for one metre of depth at each pixel centre.
    """

    def __init__(self, intrinsics: np.ndarray, extrinsics: np.ndarray, height: int, width: int) -> None:
        rows, columns = np.mgrid[:height, :width] + 0.5
        pixels = np.stack([columns.ravel(), rows.ravel(), np.ones(height * width)])
        camera_rays = np.linalg.inv(intrinsics) @ pixels
        self.rays = np.ascontiguousarray((extrinsics[:3, :3] @ camera_rays).astype(np.float32))
        self.origin = extrinsics[:3, 3].astype(np.float32)

    def __call__(self, depth: np.ndarray, crop: Crop | None) -> tuple[np.ndarray, np.ndarray]:
        """Points (M,3) float32 strictly inside `crop` and the flat pixel indices (M,) they come from.

        The axes are tested one after the other on what is left: z first, because most pixels see the table.
        Pixels of infinite or NaN depth give no point.
        """
        flat = depth.reshape(-1)
        if crop is None:
            index = np.flatnonzero(np.isfinite(flat))
        else:
            height = flat * self.rays[2] + self.origin[2]
            # NaN and inf fail both comparisons
            index = np.flatnonzero((height > crop.low[2]) & (height < crop.high[2]))
            for axis in (0, 1):
                value = flat[index] * self.rays[axis][index] + self.origin[axis]
                index = index[(value > crop.low[axis]) & (value < crop.high[axis])]
        points = (self.rays[:, index] * flat[index]).T + self.origin
        return np.ascontiguousarray(points, dtype=np.float32), index


def sample(points: np.ndarray, count: int, sampler: str) -> np.ndarray:
    """Indices (min(M, count),) of a farthest-point sample of `points` (M,3).

    With M <= count every point is taken, in order. `bucket` needs the fpsample package: an exact sample from a
    start point of its own choice, the same on every call. `exact` is `farthest_points`, from index 0.
    """
    if len(points) <= count:
        return np.arange(len(points))
    if sampler == "exact":
        return farthest_points(points, count)
    try:
        import fpsample
    except ImportError as error:
        raise ImportError(
            "sampler=bucket needs fpsample in the interpreter that holds the simulator: "
            "`python -m pip install fpsample==0.3.3` there, or choose sampler=exact"
        ) from error
    # start_idx is ignored by the bucket algorithm, but without it fpsample draws one at random
    return fpsample.bucket_fps_kdline_sampling(points, count, h=5, start_idx=0).astype(np.int64)


def farthest_points(points: np.ndarray, count: int) -> np.ndarray:
    """Farthest-point sampling from index 0: each next point is the one farthest from all chosen ones.

    points: (M,3) with M >= count; returns (count,) int64. Ties go to the lowest index.
    """
    columns = [np.ascontiguousarray(points[:, axis], dtype=np.float32) for axis in range(3)]
    nearest = np.full(len(points), np.inf, np.float32)
    chosen = np.zeros(count, np.int64)
    for step in range(1, count):
        last = chosen[step - 1]
        distance = sum((column - column[last]) ** 2 for column in columns)
        np.minimum(nearest, distance, out=nearest)
        chosen[step] = nearest.argmax()
    return chosen


def pad(points: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """(count,3) float32 and (count,) bool: `points` first, then masked zeros."""
    padded = np.zeros((count, points.shape[1]), points.dtype)
    padded[: len(points)] = points
    valid = np.zeros(count, bool)
    valid[: len(points)] = True
    return padded, valid
