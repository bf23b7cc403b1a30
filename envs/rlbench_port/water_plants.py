"""water-plants: a watering can and a plant in a pot, like RLBench's water_plants, with sizes of our own.

The expert takes the can by its handle, lifts it, brings its spout over the pot and tilts it; five drops fall in.
Nothing is attached to the gripper: friction holds the handle.
"""

from __future__ import annotations

import math

import numpy as np

from envs.rlbench_port.goals import DROP, DROPS, PARK, Pour
from envs.rlbench_port.layout import SIZES, Frame, Keyframe, Layout, box, fixed
from envs.rotations import about, multiply, to_matrix, tool

SIZE = (0.09, 0.075, 0.1)
"""The can's length, width and height, metres, without spout and handle."""
POT = (0.055, 0.075)
"""Radius and height, metres."""
HANDLE = (0.05, 0.014, 0.04)
"""A plate on the can: along it, across it, and up, metres."""
SPOUT = 0.07
"""How far the spout reaches beyond the can, metres."""
CAN_COLOUR, SPOUT_COLOUR, POT_COLOUR = "0.15 0.5 0.35", "0.75 0.75 0.78", "0.7 0.35 0.2"
SOIL_COLOUR, LEAF_COLOUR, WATER_COLOUR = "0.25 0.16 0.1", "0.2 0.6 0.2", "0.2 0.45 0.9"
CAN_PLACES = ((0.4, 0.58), (-0.28, -0.1))
POT_PLACES = ((0.45, 0.62), (0.12, 0.28))
"""Of the middles of can and pot, metres, x and y."""
YAWS = math.radians(25)
"""Of the can, to either side of the way to the pot."""
WALLS = 8
"""Straight pieces of the pot's wall."""
TILT = math.radians(40)
"""Of the can, spout down."""
UP = np.array([0.0, 0.0, 1.0])
ABOVE = 0.07
"""The spout's end over the pot's rim while it pours, metres."""


def draw(rng: np.random.Generator, size: float | None) -> Layout:
    """One episode's; the sizes of can and pot, their places and the can's yaw vary."""
    scale = np.full(3, rng.uniform(*SIZES) if size is None else size)
    length, width, height = (float(value) for value in scale * np.array(SIZE) * rng.uniform(0.97, 1.03, 3))
    radius, tall = (float(value) for value in scale[:2] * np.array(POT))
    can = np.array([rng.uniform(*CAN_PLACES[0]), rng.uniform(*CAN_PLACES[1]), 0.0])
    pot = np.array([rng.uniform(*POT_PLACES[0]), rng.uniform(*POT_PLACES[1]), 0.0])
    frame = Frame(can, math.atan2(*(pot - can)[[1, 0]]) + rng.uniform(-YAWS, YAWS))
    head = np.array([length / 2 + SPOUT, 0.0, 0.9 * height])
    rim = pot + tall * UP
    return Layout(
        bodies=_can(length, width, height, head) + _pot(Frame(pot, 0.0), radius, tall) + _drops(),
        apart=(),
        sizes=(length, radius, tall),
        goal=Pour(can, frame.yaw, head, rim, radius - 0.006),
        plan=_plan(frame, head, height, rim),
    )


def _plan(frame: Frame, head: np.ndarray, height: float, rim: np.ndarray) -> tuple[Keyframe, ...]:
    """rim: the middle of the pot's, robot frame."""
    grip = np.array([0.0, 0.0, height + 0.55 * HANDLE[2]])
    grasp = frame.place + grip
    upright = tool(np.array([0.0, 0.0, -1.0]), -frame.direction(0, 1, 0))
    to_pot = Frame(rim, math.atan2(*(rim - frame.place)[[1, 0]]))  # the can is turned towards the pot, then tilted
    level = multiply(about(UP, to_pot.yaw - frame.yaw), upright)
    tilt = about(to_pot.direction(0, 1, 0), TILT)
    spout = to_pot.direction(*(head - grip))  # from the grip to its end, level
    end = rim + ABOVE * UP
    before = end - spout + to_pot.direction(-0.05, 0, 0.04)
    return (
        Keyframe(grasp + 0.1 * UP, upright, opens=True),
        Keyframe(grasp, upright, opens=False),
        Keyframe(grasp + 0.16 * UP, upright, opens=False),
        Keyframe(before, level, opens=False),
        Keyframe(end - to_matrix(tilt) @ spout, multiply(tilt, level), opens=False),
    )


def _can(length: float, width: float, height: float, head: np.ndarray) -> str:
    start = np.array([length / 2 - 0.01, 0.0, 0.35 * height])
    ends = " ".join(f"{value:.6g}" for value in (*start, *(head - (0.008, 0, 0.006))))
    return (
        '<body name="can"><freejoint name="can"/>'
        f"{box((length, width, height), (0, 0, height / 2), CAN_COLOUR, 0.12)}"
        f"{box(HANDLE, (0, 0, height + HANDLE[2] / 2), SPOUT_COLOUR, 0.02)}"
        f'<geom class="object" type="capsule" fromto="{ends}" size="0.008" mass="0.01" rgba="{SPOUT_COLOUR} 1"/></body>'
    )


def _pot(frame: Frame, radius: float, tall: float) -> str:
    soil = 0.55 * tall
    inside = (
        f'<geom class="object" type="cylinder" size="{radius:.6g} {soil / 2:.6g}" pos="0 0 {soil / 2:.6g}" '
        f'rgba="{SOIL_COLOUR} 1"/>'
    )
    side = 2 * radius * math.tan(math.pi / WALLS)
    for number in range(WALLS):
        angle = 2 * math.pi * number / WALLS
        inside += (
            f'<geom class="object" type="box" size="0.003 {side / 2:.6g} {tall / 2:.6g}" '
            f'pos="{radius * math.cos(angle):.6g} {radius * math.sin(angle):.6g} {tall / 2:.6g}" '
            f'euler="0 0 {angle:.6g}" rgba="{POT_COLOUR} 1"/>'
        )
    for number in range(3):  # drawn only: leaves do not catch drops
        angle = 2 * math.pi * number / 3
        inside += (
            f'<geom type="ellipsoid" size="0.012 0.028 0.004" contype="0" conaffinity="0" group="1" '
            f'pos="{0.022 * math.cos(angle):.6g} {0.022 * math.sin(angle):.6g} {tall + 0.01:.6g}" '
            f'euler="0.7 0 {angle - math.pi / 2:.6g}" rgba="{LEAF_COLOUR} 1"/>'
        )
    return fixed("pot", frame, inside)


def _drops() -> str:
    shelf = box((0.5, 0.2, 0.02), (PARK[0] + 0.06, PARK[1], PARK[2] - 0.01), SOIL_COLOUR)
    text = f'<body name="shelf">{shelf}</body>'
    for number in range(DROPS):
        drop = box((DROP, DROP, DROP), (0, 0, 0), WATER_COLOUR, 0.0001)
        text += f'<body name="drop{number}"><freejoint name="drop{number}"/>{drop}</body>'
    return text
