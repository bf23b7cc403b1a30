"""Rotations as unit quaternions x, y, z, w (float64), the order of actions and observations here."""

from __future__ import annotations

import math

import numpy as np


def multiply(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The rotation b, then a: (4,)."""
    ax, ay, az, aw = a
    bx, by, bz, bw = b
    return np.array(
        [
            aw * bx + ax * bw + ay * bz - az * by,
            aw * by - ax * bz + ay * bw + az * bx,
            aw * bz + ax * by - ay * bx + az * bw,
            aw * bw - ax * bx - ay * by - az * bz,
        ]
    )


def inverse(q: np.ndarray) -> np.ndarray:
    """Of a unit quaternion (4,)."""
    return np.array([-q[0], -q[1], -q[2], q[3]])


def canonical(q: np.ndarray) -> np.ndarray:
    """The one of q and -q, which are the same rotation, with w >= 0."""
    return -q if q[3] < 0 else q


def nearer(q: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The one of q and -q that is nearer to `other` (4,): it jumps only at half a turn from there."""
    return -q if float(q @ other) < 0 else q


def to_matrix(q: np.ndarray) -> np.ndarray:
    """(3, 3) of a unit quaternion (4,)."""
    x, y, z, w = q
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


def from_matrix(m: np.ndarray) -> np.ndarray:
    """Unit quaternion (4,) with w >= 0 of a rotation (3, 3), by its largest entry (Shepperd)."""
    squares = np.array(
        [
            1 + m[0, 0] - m[1, 1] - m[2, 2],
            1 - m[0, 0] + m[1, 1] - m[2, 2],
            1 - m[0, 0] - m[1, 1] + m[2, 2],
            1 + m[0, 0] + m[1, 1] + m[2, 2],
        ]
    )
    k = int(squares.argmax())
    if k == 3:
        q = np.array([m[2, 1] - m[1, 2], m[0, 2] - m[2, 0], m[1, 0] - m[0, 1], squares[3]])
    else:
        i, j = (k + 1) % 3, (k + 2) % 3
        q = np.empty(4)
        q[k], q[i], q[j] = squares[k], m[i, k] + m[k, i], m[j, k] + m[k, j]
        q[3] = m[j, i] - m[i, j]
    return canonical(q / np.linalg.norm(q))


def about(axis: np.ndarray, angle: float) -> np.ndarray:
    """Quaternion (4,) of a turn by `angle` radians about a unit axis (3,)."""
    return np.array([*(math.sin(angle / 2) * np.asarray(axis)), math.cos(angle / 2)])


def rotation_vector(q: np.ndarray) -> np.ndarray:
    """Axis times angle (3,), radians, the shorter way round."""
    q = canonical(q)
    sine = float(np.linalg.norm(q[:3]))
    if sine < 1e-12:
        return 2 * q[:3]
    return q[:3] * (2 * math.atan2(sine, q[3]) / sine)


def between(a: np.ndarray, b: np.ndarray, share: float) -> np.ndarray:
    """The rotation that far from a (0) to b (1), the shorter way round, at a constant rate."""
    turn = rotation_vector(multiply(b, inverse(a)))
    angle = float(np.linalg.norm(turn))
    return a if angle < 1e-12 else multiply(about(turn / angle, share * angle), a)


def tool(approach: np.ndarray, fingers: np.ndarray) -> np.ndarray:
    """Quaternion (4,) of fingertips that point along `approach` (their z axis) and open along `fingers` (their -y
    axis), which need be neither of unit length nor quite perpendicular."""
    z = approach / np.linalg.norm(approach)
    y = z * (fingers @ z) - fingers
    y /= np.linalg.norm(y)
    return from_matrix(np.stack([np.cross(y, z), y, z], axis=1))
