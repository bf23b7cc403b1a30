"""close-laptop-lid: a laptop whose screen stands open, like RLBench's close_laptop_lid, with sizes of our own.

The expert pushes the screen over from behind with a closed gripper; gravity shuts it.
"""

from __future__ import annotations

import math

import numpy as np

from envs.rlbench_port.goals import Shut
from envs.rlbench_port.layout import SIZES, Frame, Layout, box, fixed, hinged
from envs.rlbench_port.pushing import push_over

OPENING = 1.79 / 0.975
"""Radians: RLBench asks for 1.79 of the hinge's travel, and here that is 97.5 % of it."""
SIZE = (0.19, 0.27, 0.016)
"""Depth (across the hinge), width and the base's height, metres."""
SCREEN = 0.008
BASE_COLOUR, KEYS_COLOUR = "0.55 0.57 0.6", "0.15 0.15 0.17"
SCREEN_COLOUR, GLASS_COLOUR = "0.4 0.42 0.46", "0.1 0.2 0.35"
PLACES = ((0.38, 0.68), (-0.25, 0.2))
"""Of the laptop's middle, metres, x and y."""
YAWS = math.radians(40)
"""To either side."""
TURN = math.radians(90)
"""The hinge is to the robot's right; the screen's back is not where the arm passes on its way over the table."""
PUSHES = tuple(math.radians(angle) for angle in (70, 25))


def draw(rng: np.random.Generator, size: float | None) -> Layout:
    """One episode's; the size of the laptop, its place and yaw, and the friction of its hinge vary."""
    scale = np.full(3, rng.uniform(*SIZES) if size is None else size)
    depth, width, height = (float(value) for value in scale * np.array(SIZE) * rng.uniform(0.97, 1.03, 3))
    place = np.array([rng.uniform(*PLACES[0]), rng.uniform(*PLACES[1]), 0.0])
    frame = Frame(place, TURN + rng.uniform(-YAWS, YAWS))
    friction = rng.uniform(0.13, 0.15) * depth / SIZE[0]
    hinge = (-depth / 2, 0.0, height)
    screen = "".join(
        [
            box((depth, width, SCREEN), (depth / 2, 0, SCREEN / 2), SCREEN_COLOUR, 0.2),
            box((0.86 * depth, 0.9 * width, 0.001), (0.52 * depth, 0, -0.0004), GLASS_COLOUR, 0.001),
        ]
    )
    inside = "".join(
        [
            box((depth, width, height), (0, 0, height / 2), BASE_COLOUR),
            box((0.45 * depth, 0.86 * width, 0.001), (-0.14 * depth, 0, height), KEYS_COLOUR),
            box((0.28 * depth, 0.34 * width, 0.001), (0.3 * depth, 0, height), KEYS_COLOUR),
            hinged("screen", hinge, OPENING, friction, screen),
        ]
    )
    return Layout(
        bodies=fixed("laptop", frame, inside),
        apart=(("laptop", "screen"),),
        sizes=(depth, width, height),
        goal=Shut(place, frame.yaw, OPENING, 0.025 * OPENING),
        plan=push_over(frame, hinge, 0.92 * depth, OPENING, PUSHES, side=-1),
    )
