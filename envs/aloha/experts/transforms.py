"""Rigid transforms as (4, 4) float64 matrices, and rotations as (3, 3)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

Z = np.array([0.0, 0.0, 1.0])


def rotation(axis: Sequence[float] | np.ndarray, angle: float) -> np.ndarray:
    """About a unit axis, radians (Rodrigues)."""
    x, y, z = axis
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + math.sin(angle) * cross + (1 - math.cos(angle)) * cross @ cross


def about_x(angle: float) -> np.ndarray:
    return rotation((1, 0, 0), angle)


def about_y(angle: float) -> np.ndarray:
    return rotation((0, 1, 0), angle)


def about_z(angle: float) -> np.ndarray:
    return rotation((0, 0, 1), angle)


def transform(turn: np.ndarray | None, place: Sequence[float] | np.ndarray = (0, 0, 0)) -> np.ndarray:
    matrix = np.eye(4)
    if turn is not None:
        matrix[:3, :3] = turn
    matrix[:3, 3] = place
    return matrix


def inverse(matrix: np.ndarray) -> np.ndarray:
    turn = matrix[:3, :3].T
    return transform(turn, -turn @ matrix[:3, 3])


def turn_between(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """(3,) axis times angle of the turn that leads from one transform's rotation to another's, world axes."""
    turn = second[:3, :3] @ first[:3, :3].T
    angle = math.acos(min(1.0, max(-1.0, (np.trace(turn) - 1) / 2)))
    twist = np.array([turn[2, 1] - turn[1, 2], turn[0, 2] - turn[2, 0], turn[1, 0] - turn[0, 1]])
    if angle < 1e-6:
        return twist / 2
    if angle > math.pi - 1e-3:  # the skew part vanishes; the axis is the eigenvector of 1
        axis = np.linalg.eigh((turn + turn.T) / 2)[1][:, -1]
        return axis * angle * (1.0 if axis @ twist >= 0 else -1.0)
    return twist * angle / (2 * math.sin(angle))


def on_the_way(first: np.ndarray, second: np.ndarray, share: float) -> np.ndarray:
    """A transform on the straight way from one to another, 0 <= share <= 1."""
    twist = turn_between(first, second)
    angle = float(np.linalg.norm(twist))
    turn = rotation(twist / angle, angle * share) if angle > 1e-9 else np.eye(3)
    return transform(turn @ first[:3, :3], first[:3, 3] + share * (second[:3, 3] - first[:3, 3]))


def lifted(matrix: np.ndarray, height: float) -> np.ndarray:
    """Moved up by so many metres."""
    found = matrix.copy()
    found[2, 3] += height
    return found


def backed(matrix: np.ndarray, distance: float) -> np.ndarray:
    """Moved backwards along its own x axis, along which a gripper approaches."""
    found = matrix.copy()
    found[:3, 3] -= found[:3, 0] * distance
    return found
