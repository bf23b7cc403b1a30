"""toilet-seat-down: a toilet whose seat is up, like RLBench's toilet_seat_down, with sizes of our own.

The expert pushes the seat over from behind with a closed gripper; gravity brings it down.
"""

from __future__ import annotations

import itertools
import math

import numpy as np

from envs.rlbench_port.goals import Shut
from envs.rlbench_port.layout import SIZES, Frame, Layout, box, fixed, hinged
from envs.rlbench_port.pushing import push_over

OPENING = 1.7 / 0.975
"""Radians: RLBench asks for 1.7 of the hinge's travel, and here that is 97.5 % of it."""
SIZE = (0.19, 0.15, 0.16)
"""Length of the seat (across the hinge), its width, and the height of the bowl's rim, metres."""
RING, PIECES = 0.011, 12
"""Radius of the seat's tube, metres, and its straight pieces."""
WHITE, SEAT_COLOUR, WATER_COLOUR = "0.92 0.92 0.9", "0.35 0.22 0.14", "0.35 0.5 0.6"
PLACES = ((0.4, 0.7), (-0.2, 0.25))
"""Of the bowl's middle, metres, x and y."""
YAWS = math.radians(45)
"""To either side."""
TURN = math.radians(-90)
"""The seat comes down to the robot's right."""
PUSHES = tuple(math.radians(angle) for angle in (70, 30))


def draw(rng: np.random.Generator, size: float | None) -> Layout:
    """One episode's; the size of the toilet, its place and yaw, and the friction of its hinge vary."""
    scale = np.full(3, rng.uniform(*SIZES) if size is None else size)
    length, width, height = (float(value) for value in scale * np.array(SIZE) * rng.uniform(0.97, 1.03, 3))
    place = np.array([rng.uniform(*PLACES[0]), rng.uniform(*PLACES[1]), 0.0])
    frame = Frame(place, TURN + rng.uniform(-YAWS, YAWS))
    friction = rng.uniform(0.19, 0.22) * length / SIZE[0]
    hinge = (-length / 2, 0.0, height)
    tank = 0.9 * height
    inside = "".join(
        [
            _cylinder(0.55 * width / 2, (0, 0, 0.25 * height), 0.5 * height, WHITE),
            _cylinder(1.02 * width / 2, (0, 0, 0.72 * height), 0.5 * height, WHITE),
            _cylinder(0.7 * width / 2, (0, 0, 0.971 * height), 0.002, WATER_COLOUR),
            box((0.4 * length, 0.5 * width, 0.3 * height), (-0.4 * length, 0, 0.8 * height), WHITE),
            box((0.06, 1.2 * width, tank), (-0.71 * length, 0, 0.7 * height + tank / 2), WHITE),
            hinged("seat", hinge, OPENING, friction, _ring(length, width)),
        ]
    )
    return Layout(
        bodies=fixed("toilet", frame, inside),
        apart=(("toilet", "seat"),),
        sizes=(length, width, height),
        goal=Shut(place, frame.yaw, OPENING, 0.025 * OPENING),
        plan=push_over(frame, hinge, length - 0.012, OPENING, PUSHES, side=1),
    )


def _cylinder(radius: float, place: tuple[float, float, float], height: float, colour: str) -> str:
    at = " ".join(f"{value:.6g}" for value in place)
    return f'<geom class="object" type="cylinder" size="{radius:.6g} {height / 2:.6g}" pos="{at}" rgba="{colour} 1"/>'


def _ring(length: float, width: float) -> str:
    """An ellipse of tubes, from the hinge at x = 0 to the length."""
    turns = [2 * math.pi * piece / PIECES for piece in range(PIECES + 1)]
    a, b = length / 2 - RING, width / 2 - RING
    corners = [(length / 2 + a * math.cos(turn), b * math.sin(turn), RING) for turn in turns]
    text = ""
    for start, end in itertools.pairwise(corners):
        ends = " ".join(f"{value:.6g}" for value in (*start, *end))
        text += (
            f'<geom class="object" type="capsule" fromto="{ends}" size="{RING}" mass="{0.3 / PIECES:.6g}" '
            f'rgba="{SEAT_COLOUR} 1"/>'
        )
    return text
