"""Where the objects begin: drawn for each episode from aloha_sim's ranges, metres and radians, world frame."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

Layout = dict[str, tuple[np.ndarray, float]]
"""Object -> its place (3,) and its turn about the vertical."""

_ACROSS = {"top": ((-0.30, -0.22), (-0.03, 0.03), (0.22, 0.30)), "bottom": ((-0.3, -0.2), (-0.05, 0.05), (0.2, 0.3))}
_ALONG = {"top": (0.1, 0.2), "bottom": (-0.25, -0.1)}
RACK_YAW = 0.48 * np.pi
"""The rack is turned by up to so much either way (CLAMP, section IV: 86.4 degrees; aloha_sim's bowl task: 3.6)."""
BOWLS_RACK_YAW = 0.02 * np.pi
OPEN = (0.06, 0.09)
"""Metres that a drawer is open which is to be closed (ours)."""


def _rows(draw: np.random.Generator, rows: Mapping[str, tuple[str, ...]], height: float) -> dict[str, np.ndarray]:
    """Three objects in each row, one in each of its three columns, in any order."""
    found = {}
    for row, names in rows.items():
        columns = draw.permutation(3)
        for name, column in zip(names, columns, strict=True):
            x, y = draw.uniform(*_ACROSS[row][column]), draw.uniform(*_ALONG[row])
            found[name] = np.array([x, y, height])
    return found


def _turn(draw: np.random.Generator) -> float:
    return float(draw.uniform(-np.pi, np.pi))


def dining(draw: np.random.Generator) -> Layout:
    """Plate, bowl and container in the row away from the person, mug, pen and banana in the other."""
    rows = {"top": ("plate", "bowl", "container"), "bottom": ("mug", "pen", "banana")}
    return {name: (place, _turn(draw)) for name, place in _rows(draw, rows, 0.06).items()}


def tools(draw: np.random.Generator) -> Layout:
    """The caddy, never turned, the screwdriver and the magnifier in one row, the others in the other; either is on top.

    CLAMP's text has the caddy's row always on top; its simulator has not.
    """
    near, far = ("caddy", "screwdriver", "magnifier"), ("can_opener", "thumb_drive", "scissors")
    swapped = draw.random() < 0.5
    places = _rows(draw, {"top": far if swapped else near, "bottom": near if swapped else far}, 0.04)
    return {name: (place, 0.0 if name == "caddy" else _turn(draw)) for name, place in places.items()}


def drawer(draw: np.random.Generator) -> Layout:
    """In the middle of the table, 10 cm above it: it falls while the episode begins."""
    place = np.array([*draw.uniform(-0.15, 0.15, 2), 0.1])
    return {"box": (place, float(draw.uniform(-np.pi / 4, np.pi / 4)))}


def drawers(draw: np.random.Generator) -> np.ndarray:
    """Metres (3,) that the top, middle and bottom drawer are open where one is to be closed."""
    return np.array([0.0, 0.0, draw.uniform(*OPEN)])


def rack(draw: np.random.Generator) -> Layout:
    """The rack in the half away from the person, the plate in the other."""
    return _rack(draw, "plate", RACK_YAW)


def rack_straight(draw: np.random.Generator) -> Layout:
    """The same with the bowl, the rack hardly turned."""
    return _rack(draw, "bowl", BOWLS_RACK_YAW)


def _rack(draw: np.random.Generator, name: str, most: float) -> Layout:
    stand = np.array([draw.uniform(-0.1, 0.1), draw.uniform(0.18, 0.25), 0.041])
    place = np.array([draw.uniform(0.0, 0.25), draw.uniform(-0.2, 0.0), 0.051])
    yaw = float(draw.uniform(-most, most)) - np.pi / 2
    return {"rack": (stand, yaw), name: (place, 0.0)}
