"""A cloud seen from virtual cameras: CLAMP's observation (section III-B).

Merged cloud, crop, voxel grid of 1 mm, at most 0.3 million points, then images of (depth, x, y, z) by a z-buffer.
The paper gives the views' places only in words and no field of view; each simulator's cameras here are this
benchmark's choice: overhead from 1 m, the two others from opposite corners of the table 0.70 m above it, the wrist's
beside the gripper, 60 degrees. One pixel for each point, or a square of `splat` x `splat` around it, of which the paper
says nothing; zeros where there is none, with a mask beside it. Other layouts of cameras: `envs.view_layouts`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from envs.camera import look_at

SIZE = 224
FOVY = 60.0
VOXEL = 0.001
MAX_POINTS = 300_000
CHUNK = 65536
"""Points drawn at a time: what is computed for them stays in the processor's cache."""

NEAR = np.float32(1e-3)
"""Metres in front of a camera; what is nearer or behind it is not seen."""

LARGEST_SPLAT = 15
"""Pixels along a side."""

NAMES = ("overhead", "back-right", "front-left", "wrist-left", "wrist-right")
"""The order of the tiles (CLAMP, Fig. 2). A single arm has the left wrist; the right one's view stays empty."""

VERSION = f"{len(NAMES)}x{SIZE}, fovy {FOVY}, voxel {VOXEL}, at most {MAX_POINTS}, first"
"""Part of every cache key of these five views."""

Vector = tuple[float, float, float]


@dataclass(frozen=True)
class VirtualCamera:
    """A tile by its name, one of `NAMES` or of another layout's: it stands at `eye`, has `target` in the middle of its
    image and `up` upwards.

    on_hand: eye and target are displacements from the hand along the robot's axes, and move with it; of a simulator
    whose hands turn all three are in the hand's frame, and turn with it. Otherwise they are places in the robot frame.
    across: metres that its image is wide and high, all rays being parallel; None is a pinhole of `FOVY`. Metres. A
    tile without a camera stays empty.
    """

    name: str
    eye: Vector
    target: Vector
    up: Vector = (0.0, 0.0, 1.0)
    on_hand: bool = False
    across: float | None = None

    def pose(self, hand: np.ndarray | None = None) -> np.ndarray:
        """robot_from_camera (4, 4) float64 with the hand at (3,), or at robot_from_hand (4, 4)."""
        eye, target, up = np.array(self.eye), np.array(self.target), np.array(self.up)
        if self.on_hand:
            assert hand is not None
            if hand.shape == (4, 4):
                turn, place = hand[:3, :3], hand[:3, 3]
                eye, target, up = place + turn @ eye, place + turn @ target, turn @ up
            else:
                eye, target = hand + eye, hand + target
        return look_at(eye, target, up)

    def plain(self) -> dict[str, Any]:
        """As data, for keys and records."""
        return {
            "name": self.name,
            "eye": list(self.eye),
            "target": list(self.target),
            "up": list(self.up),
            "on_hand": self.on_hand,
            **({} if self.across is None else {"across": self.across}),
        }


def voxel_grid(points: np.ndarray, edge: float = VOXEL) -> np.ndarray:
    """The mean of the points in each occupied voxel of a grid through the origin: (N, 3) to (M, 3) float32."""
    if not len(points):
        return points.astype(np.float32)
    # column by column: numpy reduces (N, 3) along N ten times more slowly
    place = _numbered([np.floor(points[:, axis] / edge).astype(np.int64) for axis in range(3)])
    counts = np.bincount(place)
    return np.stack([np.bincount(place, weights=points[:, axis]) / counts for axis in range(3)], axis=1).astype(
        np.float32
    )


def _numbered(columns: Sequence[np.ndarray]) -> np.ndarray:
    """Of each cell, a row of three whole numbers, its number among the different ones in their order: (N,) int64.

    As `np.unique(..., axis=0, return_inverse=True)`, which sorts indices; sorting numbers that have their index in
    their last bits is more than twice as fast.
    """
    lows, spans = zip(*((int(column.min()), int(np.ptp(column)) + 1) for column in columns), strict=True)
    bits = len(columns[0]).bit_length()
    if math.prod(spans).bit_length() + bits > 63:  # of a cloud that is some 20 m wide
        return np.unique(np.stack(columns, axis=1), axis=0, return_inverse=True)[1].ravel()
    x, y, z = (column - low for column, low in zip(columns, lows, strict=True))
    ordered = ((x * spans[1] + y) * spans[2] + z) << bits | np.arange(len(x))
    ordered.sort()
    origin = ordered & ((1 << bits) - 1)
    ordered >>= bits
    place = np.empty(len(x), np.int64)
    place[origin] = np.cumsum(np.diff(ordered, prepend=ordered[0]) != 0)
    return place


def cap(points: np.ndarray, count: int = MAX_POINTS) -> np.ndarray:
    """At most `count` points, chosen at random but the same on every call."""
    if len(points) <= count:
        return points
    return points[np.sort(np.random.default_rng(0).choice(len(points), count, replace=False))]


def render_views(
    points: np.ndarray,
    extrinsics: np.ndarray,
    valid: np.ndarray | None = None,
    size: int = SIZE,
    fovy: float = FOVY,
    splat: int = 1,
    across: Sequence[float | None] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Pictures of a cloud by a z-buffer: the nearest point of each pixel wins, of equal ones the first.

    splat: odd; a point covers so many pixels along each side of a square around its own, so that what lies behind a
    surface does not show between its points. A point whose own pixel is outside of the image covers none.
    across: of each view its width in metres if its rays are parallel, None if it is a pinhole, as all are by default.

    points (N, 3) float32, robot frame; extrinsics (V, 4, 4) robot_from_camera, OpenCV axes; valid (N,) bool leaves
    padding out. Gives views (V, size, size, 4) float32 of depth along the optical axis and x, y, z in the robot
    frame, metres, zero where nothing is; and which pixels are filled, (V, size, size) bool. Points that are not
    finite or not in front of the camera never reach an image.
    """
    if valid is not None or not np.isfinite(points.sum()):  # a sum is ten times cheaper than looking at each
        usable = np.isfinite(points).all(axis=1)
        points = points[usable if valid is None else usable & valid]
    columns = np.ascontiguousarray(points.T, np.float32)
    views = np.zeros((len(extrinsics), size * size, 4), np.float32)
    filled = np.zeros((len(extrinsics), size * size), bool)

    for view in range(len(extrinsics)):
        nearest = np.full(size * size, np.inf, np.float32)
        parts, width = [], None if across is None else across[view]
        for first in range(0, len(points), CHUNK):
            index, pixel, depth = _project(columns[:, first : first + CHUNK], extrinsics[view], size, fovy, width)
            np.minimum.at(nearest, pixel, depth)
            parts.append((index + first, pixel, depth))
        for index, pixel, depth in reversed(parts):
            won = np.flatnonzero(depth == nearest.take(pixel))[::-1]  # written backwards, the first of equals stays
            pixel = pixel.take(won)
            views[view, pixel, 0] = depth.take(won)
            views[view, pixel, 1:] = points.take(index.take(won), axis=0)
            filled[view, pixel] = True
        if splat > 1:
            source = _nearest_around(nearest.reshape(size, size), splat)
            views[view], filled[view] = views[view].take(source, axis=0), filled[view].take(source)

    return views.reshape(-1, size, size, 4), filled.reshape(-1, size, size)


def _nearest_around(depth: np.ndarray, splat: int) -> np.ndarray:
    """For each pixel of depth (S, S), inf where nothing is, the flat number of the pixel with the least depth in the
    square of `splat` x `splat` around it: its own if none is nearer, else of equal ones the first by rows.
    """
    size, reach = len(depth), splat // 2
    around = np.pad(depth, reach, constant_values=np.inf)
    best, source = depth.copy(), np.arange(size * size).reshape(size, size)
    numbers = np.pad(source, reach)
    for row in range(splat):
        for column in range(splat):
            window = slice(row, row + size), slice(column, column + size)
            nearer = around[window] < best
            best[nearer] = around[window][nearer]
            source[nearer] = numbers[window][nearer]
    return source.ravel()


def _project(
    columns: np.ndarray, extrinsics: np.ndarray, size: int, fovy: float, across: float | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Which of the points (3, N) are in the image, their flat pixel and their depth.

    Of a pinhole, intrinsics and extrinsics in one product: the rows are (column * depth, row * depth, depth).
    """
    if across is not None:
        return _project_parallel(columns, extrinsics, size, across)
    focal = 0.5 * size / np.tan(np.deg2rad(fovy) / 2)
    intrinsics = np.array([[focal, 0, size / 2], [0, focal, size / 2], [0, 0, 1]])
    camera_from_robot = np.linalg.inv(extrinsics)[:3]
    whole = (intrinsics @ camera_from_robot).astype(np.float32)
    u, v, depth = whole[:, :3] @ columns + whole[:, 3:]
    edge = depth * np.float32(size)
    inside = depth > NEAR
    for coordinate in (u, v):
        inside &= coordinate >= 0
        inside &= coordinate < edge
    index = np.flatnonzero(inside)
    depth = depth.take(index)
    column, row = ((x.take(index) / depth).astype(np.intp) for x in (u, v))
    return index, np.minimum(row, size - 1) * size + np.minimum(column, size - 1), depth


def _project_parallel(
    columns: np.ndarray, extrinsics: np.ndarray, size: int, across: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """As `_project`, along rays that are all parallel to the optical axis, in an image of `across` metres."""
    to_pixels = np.diag([size / across, size / across, 1.0])
    whole = to_pixels @ np.linalg.inv(extrinsics)[:3]
    whole[:2, 3] += size / 2
    whole = whole.astype(np.float32)
    u, v, depth = whole[:, :3] @ columns + whole[:, 3:]
    inside = depth > NEAR
    for coordinate in (u, v):
        inside &= coordinate >= 0
        inside &= coordinate < np.float32(size)
    index = np.flatnonzero(inside)
    column, row = (x.take(index).astype(np.intp) for x in (u, v))
    return index, row * size + column, depth.take(index)
