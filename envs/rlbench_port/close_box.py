"""close-box: a box whose lid lies open on a hinge, like RLBench's close_box, with sizes of our own.

The expert takes the lid by its free edge, swings it over, lets go, and gravity shuts it.
"""

from __future__ import annotations

import math

import numpy as np

from envs.rlbench_port.goals import Shut
from envs.rlbench_port.layout import SIZES, Frame, Keyframe, Layout, box, fixed, hinged
from envs.rotations import tool

OPENING = 2.6 / 0.99
"""Radians: RLBench asks for 2.6 of the hinge's travel, and here that is 99 % of it."""
SIZE = (0.17, 0.2, 0.11)
"""Depth (across the hinge), width and height, metres."""
WALL, LID = 0.008, 0.01
OVER = math.radians(45)
"""From closed, where the expert lets go: the lid falls from about 60 degrees."""
BASE_COLOUR, LID_COLOUR = "0.20 0.38 0.62", "0.85 0.62 0.22"
PLACES = ((0.42, 0.72), (-0.22, 0.22))
"""Of the box's middle, metres, x and y."""
YAWS = math.radians(22.5)
"""To either side."""
TURN = math.radians(90)
"""The hinge is to the robot's right, along x."""


def draw(rng: np.random.Generator, size: float | None) -> Layout:
    """One episode's; the size of the box, its place and yaw, and the friction of its hinge vary."""
    scale = np.full(3, rng.uniform(*SIZES) if size is None else size)
    depth, width, height = (float(value) for value in scale * np.array(SIZE) * rng.uniform(0.97, 1.03, 3))
    place = np.array([rng.uniform(*PLACES[0]), rng.uniform(*PLACES[1]), 0.0])
    frame = Frame(place, TURN + rng.uniform(-YAWS, YAWS))
    friction = rng.uniform(0.055, 0.07) * depth / SIZE[0]
    hinge = (-depth / 2, 0.0, height)
    inside = "".join(
        [
            box((depth, width, WALL), (0, 0, WALL / 2), BASE_COLOUR),
            *(box((WALL, width, height), (side * (depth - WALL) / 2, 0, height / 2), BASE_COLOUR) for side in (-1, 1)),
            *(box((depth, WALL, height), (0, side * (width - WALL) / 2, height / 2), BASE_COLOUR) for side in (-1, 1)),
            hinged(
                "lid", hinge, OPENING, friction, box((depth, width, LID), (depth / 2, 0, LID / 2), LID_COLOUR, 0.15)
            ),
        ]
    )
    return Layout(
        bodies=fixed("box", frame, inside),
        apart=(("box", "lid"), ("lid", "world")),
        sizes=(depth, width, height),
        goal=Shut(place, frame.yaw, OPENING, 0.01 * OPENING),
        plan=_plan(frame, hinge, depth),
    )


def _plan(frame: Frame, hinge: tuple[float, float, float], depth: float) -> tuple[Keyframe, ...]:
    def on_lid(angle: float, along: float) -> Keyframe:
        """The fingers around the lid, open at this angle, `along` metres from the hinge, the hand in its plane."""
        out = (math.cos(angle), 0.0, math.sin(angle))
        up = (-math.sin(angle), 0.0, math.cos(angle))
        place = frame.point(*(np.array(hinge) + along * np.array(out) + LID / 2 * np.array(up)))
        return Keyframe(place, tool(-frame.direction(*out), frame.direction(*up)), opens=True)

    grip = depth - 0.012
    before, grasp = on_lid(OPENING, depth + 0.1), on_lid(OPENING, grip)
    over, away = on_lid(OVER, grip), on_lid(OVER, depth + 0.08)
    return (
        before,
        Keyframe(grasp.place, grasp.rotation, opens=False),
        Keyframe(over.place, over.rotation, opens=False),
        over,
        away,
    )
