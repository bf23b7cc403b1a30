"""Pinhole cameras: intrinsics, extrinsics, and the OpenCV axes everything here is written in.

OpenCV: x to the right of the picture, y down, z forward. MuJoCo: x right, y up, z backward.
A pixel's centre lies at (column + 0.5, row + 0.5).
"""

from __future__ import annotations

import numpy as np

OPENCV_FROM_MUJOCO = np.diag([1.0, -1.0, -1.0])
HALF_TURN = np.diag([-1.0, -1.0, 1.0])
"""Rolls a camera by 180 degrees about its optical axis; its picture turns with it."""


def intrinsics_from_fovy(fovy: float, height: int, width: int) -> np.ndarray:
    """(3,3) float64 for square pixels; `fovy` is the vertical field of view in degrees."""
    focal = 0.5 * height / np.tan(np.deg2rad(fovy) / 2)
    return np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1.0]])


def extrinsics_from_mujoco(position: np.ndarray, rotation: np.ndarray, half_turn: bool = False) -> np.ndarray:
    """robot_from_camera (4,4) float64 from MuJoCo's `cam_xpos` (3,) and `cam_xmat` (9,) or (3,3).

    half_turn: the picture is shown rotated by 180 degrees, so the camera's axes are as well.
    """
    matrix = np.eye(4)
    matrix[:3, :3] = np.asarray(rotation).reshape(3, 3) @ OPENCV_FROM_MUJOCO
    if half_turn:
        matrix[:3, :3] = matrix[:3, :3] @ HALF_TURN
    matrix[:3, 3] = position
    return matrix


def project(points: np.ndarray, intrinsics: np.ndarray, extrinsics: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Project robot-frame `points` (N,3). Returns pixels (N,2) as (column, row) and depth (N,) in metres.

    Points at or behind the camera have depth <= 0 and meaningless pixels.
    """
    camera_from_robot = np.linalg.inv(extrinsics)
    local = points @ camera_from_robot[:3, :3].T + camera_from_robot[:3, 3]
    depth = local[:, 2]
    homogeneous = local @ intrinsics.T
    with np.errstate(divide="ignore", invalid="ignore"):
        pixels = homogeneous[:, :2] / homogeneous[:, 2:]
    return pixels, depth


def look_at(eye: np.ndarray, target: np.ndarray, up: np.ndarray) -> np.ndarray:
    """robot_from_camera (4,4) float64 of a camera at `eye` that sees `target` in the middle and `up` upwards.

    Raises ValueError if `up` is along the line of sight.
    """
    forward = np.asarray(target, np.float64) - eye
    forward /= np.linalg.norm(forward)
    right = np.cross(forward, up)
    if np.linalg.norm(right) < 1e-6:
        raise ValueError(f"up {up} is along the line of sight {forward}")
    right /= np.linalg.norm(right)
    matrix = np.eye(4)
    matrix[:3, 0], matrix[:3, 1], matrix[:3, 2] = right, np.cross(forward, right), forward
    matrix[:3, 3] = eye
    return matrix
