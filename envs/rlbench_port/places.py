"""Where things are: the robot frame, the table, the workspace, cameras.

The robot frame has its origin in the Panda's base on the table's top, x forward, y to the left, z up. RLBench's world
frame has the same axes; its table's top is at z = 0.752 and its robot stands at (-0.268, -0.005) on it, so that
robot = world - BASE.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from envs.camera import Orbit
from envs.crop import Crop
from envs.views import VirtualCamera

BASE = np.array([-0.268, -0.005, 0.752])
"""Of the robot in RLBench's world frame, metres, from close_box trajectories that RoboVerse publishes."""

CROP = Crop(low=(-1.232, -1.495, 0.008), high=(1.768, 1.505, 2.248))
"""Lift3D's crop of RLBench's clouds, (-1.5, -1.5, 0.76) to (1.5, 1.5, 3.0) in the world frame: it takes the table away,
and keeps the robot."""

TIMESTEP = 0.002
"""Of the physics, seconds."""

TABLE = (0.35, 0.0, 0.75, 0.8)
"""Middle x, y and half sizes x, y, metres."""

WORKSPACE = (np.array([0.0, -0.65, 0.0]), np.array([1.05, 0.65, 1.0]))
"""Where the fingertips may be sent, metres: over the table, up to one metre."""


@dataclass(frozen=True)
class CameraPose:
    """eye: metres, RLBench's world frame. forward, up: directions along the robot's axes. fov: degrees, both ways (of a
    square image)."""

    eye: tuple[float, float, float]
    forward: tuple[float, float, float]
    up: tuple[float, float, float]
    fov: float = 40.0

    def placed(self, orbit: Orbit | None) -> tuple[np.ndarray, np.ndarray]:
        """Place (3,), metres, robot frame, and axes (3, 3) in its columns, x right, y up, z backward; shifted by an
        orbit."""
        forward, up = np.array(self.forward), np.array(self.up)
        right = np.cross(forward, up)
        axes = np.stack([right, np.cross(right, forward), -forward], axis=1)
        place = np.array(self.eye) - BASE
        return (place, axes) if orbit is None else orbit.move(place, axes, MIDDLE)


MIDDLE = np.array([0.55, 0.0, 0.0])
"""Around which a shifted camera is moved, metres, robot frame."""

CAMERAS: dict[str, CameraPose] = {
    "front": CameraPose((1.35, 0.0, 1.58), (-0.9063, 0.0, -0.4226), (-0.4226, 0.0, 0.9063)),
    "left_shoulder": CameraPose((-0.175, 0.2, 1.98), (0.4162, -0.0734, -0.9063), (0.8925, -0.1574, 0.4226)),
    "right_shoulder": CameraPose((-0.175, -0.2, 1.98), (0.4162, 0.0734, -0.9063), (0.8925, 0.1574, 0.4226)),
    "overhead": CameraPose((0.25, 0.0, 2.1), (0.0, 0.0, -1.0), (1.0, 0.0, 0.0)),
}
"""RLBench's cameras as its users publish them (3D Diffuser Actor's and PerAct's constants); the place of `overhead`,
which nobody does, is ours."""

WRIST_FOV = 60.0
"""Degrees. The camera `wrist` is fixed to the hand (`arm.py`)."""

VIRTUAL = (
    VirtualCamera("overhead", (0.55, 0.0, 1.0), (0.55, 0.0, 0.0), up=(1.0, 0.0, 0.0)),
    VirtualCamera("back-right", (1.1, -0.6, 0.7), (0.55, 0.0, 0.0)),
    VirtualCamera("front-left", (0.0, 0.6, 0.7), (0.55, 0.0, 0.0)),
    VirtualCamera("wrist-left", (0.12, 0.0, -0.2), (0.0, 0.0, 0.05), on_hand=True),
)
"""CLAMP's views (section III-B) of this table: from 1 m above its middle, from two opposite corners 0.70 m over it, and
behind the gripper, in the frame of the fingertips. "Front" is the robot's side, "left" is +y; there is one arm."""
