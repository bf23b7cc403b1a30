"""Depth images to a point cloud in the robot frame: back-projection, crop, farthest-point sampling."""

from __future__ import annotations

import numpy as np

from envs.crop import Crop


class BackProjection:
    """Depth to robot-frame points for one camera and crop, with everything that only depends on them done once.

    A pixel's ray enters the crop's box at one depth and leaves it at another, so the crop is two comparisons a pixel,
    before a single point is computed. Build a new one when the camera moves. A crop with a frame of its own crops
    there; the points stay in the robot frame.

    rays: (3, H*W) float32, the robot-frame displacement for one metre of depth at each pixel's centre.
    enter, leave: (H*W,) float32 metres; enter >= leave where a ray misses the box.
    """

    def __init__(
        self, intrinsics: np.ndarray, extrinsics: np.ndarray, height: int, width: int, crop: Crop | None
    ) -> None:
        rows, columns = np.mgrid[:height, :width] + 0.5
        pixels = np.stack([columns.ravel(), rows.ravel(), np.ones(height * width)])
        rays = extrinsics[:3, :3] @ np.linalg.inv(intrinsics) @ pixels
        origin = extrinsics[:3, 3]
        enter, leave = np.zeros(height * width), np.full(height * width, np.inf)
        if crop is not None:
            along, start = rays, origin
            if crop.frame is not None:
                frame = np.array(crop.frame)
                along, start = frame[:, :3] @ rays, frame[:, :3] @ origin + frame[:, 3]
            with np.errstate(divide="ignore", invalid="ignore"):
                at_low = (np.array(crop.low) - start)[:, None] / along
                at_high = (np.array(crop.high) - start)[:, None] / along
            enter = np.maximum(enter, np.minimum(at_low, at_high).max(axis=0))
            leave = np.minimum(leave, np.maximum(at_low, at_high).min(axis=0))
        self.rays = np.ascontiguousarray(rays, np.float32)
        self.origin = origin.astype(np.float32)
        self.enter, self.leave = enter.astype(np.float32), leave.astype(np.float32)

    def __call__(self, depth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Points (M,3) float32 strictly inside the crop and the flat pixel indices (M,) they come from.

        depth: (H, W) float32 metres. Pixels of infinite or NaN depth give no point: they fail both comparisons.
        """
        flat = depth.reshape(-1)
        index = np.flatnonzero((flat > self.enter) & (flat < self.leave))
        points = (self.rays[:, index] * flat[index]).T + self.origin
        return np.ascontiguousarray(points), index


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
