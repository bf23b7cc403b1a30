"""Layouts of virtual views: how many cameras look at a cloud, from where, how they project, and their pixels.

`five` is CLAMP's own, whose cameras each simulator places by itself (`envs.views`). The two others are those of its
Tables III and IV, and follow from the simulator's workspace, a box, alone. The paper names them in a sentence each; the
numbers here are this benchmark's choice:

`orthogonal` ("five orthogonal image planes", as in RVT and 3D-MVP): from above and from both sides along x and y. As in
    RVT orthographic, at one scale: each image is a face of the cube about the workspace whose edge is its longest
    side. The planes that depth is counted from lie one edge from the middle, so that no depth is near zero, which means
    nothing.
`dome` (16 views of 96 pixels on "a dome-like structure", each looking at the workspace's centre): one from above, five
    60 degrees above the horizon, ten at 30: neighbours are 30 to 36 degrees apart. Pinholes as the other views, as far
    away as lets each see the whole ball about the workspace.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from envs import views
from envs.views import Vector, VirtualCamera

FIVE, ORTHOGONAL, DOME = "five", "orthogonal", "dome"
RINGS = ((60, 5), (30, 10))
"""(degrees above the horizon, cameras at equal steps from +x on, counter-clockwise from above) of the dome."""

SIDES: Mapping[str, Vector] = {
    "+x": (1.0, 0.0, 0.0),
    "-x": (-1.0, 0.0, 0.0),
    "+y": (0.0, 1.0, 0.0),
    "-y": (0.0, -1.0, 0.0),
}
"""Where the planes stand, from the middle."""

UP: Vector = (0.0, 0.0, 1.0)
NORTH: Vector = (0.0, 1.0, 0.0)
"""Upwards in images from above."""


@dataclass(frozen=True)
class ViewLayout:
    """tiles: names of its cameras, in the order of `views`. size: pixels along a side of each. version: part of every
    cache key of views; raised by hand where the same names come to mean other images.
    """

    name: str
    tiles: tuple[str, ...]
    size: int
    version: str


def _named(name: str, tiles: Sequence[str], size: int, how: str) -> ViewLayout:
    thinned = f"voxel {views.VOXEL}, at most {views.MAX_POINTS}, first"
    return ViewLayout(name, tuple(tiles), size, f"{len(tiles)}x{size}, {how}, {thinned}")


_AROUND = tuple(
    (f"{elevation}-{number * 360 // count}", elevation, number * 360 / count)
    for elevation, count in RINGS
    for number in range(count)
)
LAYOUTS: Mapping[str, ViewLayout] = {
    FIVE: ViewLayout(FIVE, views.NAMES, views.SIZE, views.VERSION),
    ORTHOGONAL: _named(ORTHOGONAL, ("top", *SIDES), views.SIZE, "orthographic 1"),
    DOME: _named(DOME, ("zenith", *(name for name, _, _ in _AROUND)), 96, f"dome 1, fovy {views.FOVY}"),
}


def virtual_cameras(
    layout: str, own: Sequence[VirtualCamera], low: ArrayLike, high: ArrayLike
) -> tuple[VirtualCamera, ...]:
    """Of a layout. own: the simulator's cameras for `five`. low, high: corners (3,) of its workspace, metres, robot
    frame.
    """
    if layout == FIVE:
        return tuple(own)
    corners = np.array([low, high], np.float64)
    middle, sides = _vector(corners.mean(axis=0).tolist()), np.diff(corners, axis=0)[0].tolist()
    if layout == ORTHOGONAL:
        edge = round(max(sides), 6)
        above = VirtualCamera("top", _from(middle, UP, edge), middle, NORTH, across=edge)
        others = (VirtualCamera(n, _from(middle, side, edge), middle, UP, across=edge) for n, side in SIDES.items())
        return (above, *others)
    away = math.hypot(*sides) / 2 / math.sin(math.radians(views.FOVY / 2))
    return (
        VirtualCamera("zenith", _from(middle, UP, away), middle, NORTH),
        *(VirtualCamera(name, _from(middle, _towards(e, a), away), middle, UP) for name, e, a in _AROUND),
    )


def _towards(elevation: float, azimuth: float) -> Vector:
    """A unit vector, of degrees."""
    e, a = math.radians(elevation), math.radians(azimuth)
    return math.cos(e) * math.cos(a), math.cos(e) * math.sin(a), math.sin(e)


def _from(middle: Vector, towards: Vector, distance: float) -> Vector:
    return _vector([m + distance * t for m, t in zip(middle, towards, strict=True)])


def _vector(numbers: Sequence[float]) -> Vector:
    """To the micrometre: a key does not depend on the last bit of a machine's cosine."""
    x, y, z = (round(number, 6) + 0.0 for number in numbers)
    return x, y, z
