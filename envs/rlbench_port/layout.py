"""What a task puts on the table for one episode, and what its expert does about it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from envs.rlbench_port.goals import HINGE, Goal
from envs.rotations import about, to_matrix

Draw = Callable[[np.random.Generator, float | None], "Layout"]
"""An episode's layout, and the size of its object as a multiple of the task's (None: drawn)."""
SIZES = (0.9, 1.1)
"""Between which an object's size is drawn, as a multiple of the task's own."""


@dataclass(frozen=True)
class Keyframe:
    """Where the fingertips go, and what the fingers do there.

    place: (3,) metres; rotation: quaternion x, y, z, w (4,); both in the robot frame. opens: the gripper is open after
    it.
    """

    place: np.ndarray
    rotation: np.ndarray
    opens: bool


@dataclass(frozen=True)
class Layout:
    """bodies: MJCF of the object. apart: pairs of bodies that never touch: MuJoCo does not leave out a body and its
    parent where the parent is fixed to the world, and a lid that overlaps its box at the hinge would be thrown shut.

    sizes: (3,) metres. goal: where things begin, and when the task is done.
    plan: what the expert does. A layout whose plan the arm cannot follow is drawn anew.
    """

    bodies: str
    apart: tuple[tuple[str, str], ...]
    sizes: tuple[float, float, float]
    goal: Goal
    plan: tuple[Keyframe, ...]


@dataclass(frozen=True)
class Frame:
    """An object's own frame: x away from the hinge when closed, y along it, z up; its origin is on the table."""

    place: np.ndarray
    yaw: float

    @property
    def matrix(self) -> np.ndarray:
        return to_matrix(about(np.array([0.0, 0.0, 1.0]), self.yaw))

    def point(self, x: float, y: float, z: float) -> np.ndarray:
        return self.place + self.matrix @ (x, y, z)

    def direction(self, x: float, y: float, z: float) -> np.ndarray:
        return self.matrix @ (x, y, z)


def box(size: tuple[float, float, float], place: tuple[float, float, float], colour: str, mass: float = 0.0) -> str:
    """A box geom by its full sizes, metres, and the colour as r g b. mass: kg, 0 for what stands still."""
    half = " ".join(f"{value / 2:.6g}" for value in size)
    at = " ".join(f"{value:.6g}" for value in place)
    weight = f' mass="{mass:.6g}"' if mass else ""
    return f'<geom class="object" type="box" size="{half}" pos="{at}" rgba="{colour} 1"{weight}/>'


def fixed(name: str, frame: Frame, inside: str) -> str:
    """A body that is fixed to the table."""
    at = " ".join(f"{value:.8g}" for value in frame.place)
    return f'<body name="{name}" pos="{at}" euler="0 0 {frame.yaw:.8g}">{inside}</body>'


def hinged(name: str, place: tuple[float, float, float], opening: float, friction: float, inside: str) -> str:
    """A body on a hinge along y at `place`, drawn closed, with x away from the hinge. friction: N m."""
    at = " ".join(f"{value:.6g}" for value in place)
    return (
        f'<body name="{name}" pos="{at}"><joint name="{HINGE}" axis="0 -1 0" range="0 {opening:.8g}" '
        f'frictionloss="{friction:.6g}" damping="0.01" armature="0.001" solreflimit="0.01 1"/>{inside}</body>'
    )
