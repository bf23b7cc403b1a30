"""Pinhole cameras: intrinsics, extrinsics, and the OpenCV axes everything here is written in.

OpenCV: x to the right of the image, y down, z forward. MuJoCo: x right, y up, z backward.
A pixel's centre lies at (column + 0.5, row + 0.5).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

OPENCV_FROM_MUJOCO = np.diag([1.0, -1.0, -1.0])
HALF_TURN = np.diag([-1.0, -1.0, 1.0])
"""Rolls a camera by 180 degrees about its optical axis; its image turns with it."""


def intrinsics_from_fovy(fovy: float, height: int, width: int) -> np.ndarray:
    """(3,3) float64 for square pixels; `fovy` is the vertical field of view in degrees."""
    focal = 0.5 * height / np.tan(np.deg2rad(fovy) / 2)
    return np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1.0]])


def extrinsics_from_mujoco(position: np.ndarray, rotation: np.ndarray, half_turn: bool = False) -> np.ndarray:
    """robot_from_camera (4,4) float64 from MuJoCo's `cam_xpos` (3,) and `cam_xmat` (9,) or (3,3).

    half_turn: the image is shown rotated by 180 degrees, so the camera's axes are as well.
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


@dataclass(frozen=True)
class Orbit:
    """Where a camera is moved to, around a point that stays where it was in the image.

    azimuth: degrees counter-clockwise about the vertical, seen from above. elevation: degrees upwards. distance: times
    as far.
    """

    azimuth: float = 0.0
    elevation: float = 0.0
    distance: float = 1.0

    def move(self, position: np.ndarray, rotation: np.ndarray, pivot: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Position (3,) and rotation (3, 3), world from camera in any axes, after the move around `pivot` (3,).

        Raises ValueError if the camera would pass the vertical above or below the pivot.
        """
        arm = np.asarray(position, np.float64) - pivot
        ground = math.hypot(arm[0], arm[1])
        height = math.degrees(math.atan2(arm[2], ground)) + self.elevation
        if not -89 < height < 89:
            raise ValueError(f"elevation={self.elevation:g} would turn the camera over (to {height:.0f} degrees)")
        sideways = np.array([-arm[1], arm[0], 0.0]) / max(ground, 1e-9)  # turning about it by a negative angle lifts
        turn = _about(np.array([0.0, 0.0, 1.0]), self.azimuth) @ _about(sideways, -self.elevation)
        return pivot + self.distance * turn @ arm, turn @ np.asarray(rotation).reshape(3, 3)


def parse_camera(name: str) -> tuple[str, Orbit | None]:
    """`corner@azimuth=10,distance=1.2` to the camera it is a shift of and the shift; None if there is none.

    Raises ValueError for another form, or a shift that is none: one view has one name.
    """
    base, sign, moves = name.partition("@")
    if not sign:
        return base, None
    values: dict[str, float] = {}
    for part in moves.split(","):
        key, _, value = part.partition("=")
        try:
            values[key] = float(value)
        except ValueError:
            values[key] = math.nan
        if key not in ("azimuth", "elevation", "distance") or not math.isfinite(values[key]):
            raise ValueError(f"camera {name}: '{part}' is none of azimuth=DEGREES, elevation=DEGREES, distance=TIMES")
    orbit = Orbit(**values)
    if not 0 < orbit.distance <= 100 or abs(orbit.elevation) >= 90 or abs(orbit.azimuth) > 360:
        raise ValueError(
            f"camera {name}: distance must be positive and at most 100 times as far, elevation less than 90 degrees "
            "either way, and azimuth at most 360"
        )
    if orbit == Orbit():
        raise ValueError(f"camera {name} is not shifted; it is {base}")
    return base, orbit


def _about(axis: np.ndarray, degrees: float) -> np.ndarray:
    """Rotation (3, 3) about a unit axis (Rodrigues)."""
    angle = math.radians(degrees)
    x, y, z = axis
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + math.sin(angle) * cross + (1 - math.cos(angle)) * cross @ cross
