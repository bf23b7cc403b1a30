"""Long objects that are laid down level, held by their middles: into the bowl or onto the plate."""

from __future__ import annotations

import math
from functools import partial

import numpy as np

from envs.aloha.experts.carry import Way, bring
from envs.aloha.experts.long_objects import Hold
from envs.aloha.experts.mug import PLATE_MIDDLE
from envs.aloha.experts.pilot import Pilot
from envs.aloha.experts.planner import Planner
from envs.aloha.experts.ranking import Goal
from envs.aloha.experts.transforms import about_z, transform

BANANA = Hold(
    1,
    (((-0.029, -0.03, 0.019), 0.0), ((-0.027, -0.015, 0.019), 0.05), ((-0.028, -0.045, 0.018), 0.1)),
    (0.01, -0.01, 0.0),
    1,
    0.0368,
)
PEN = Hold(
    1,
    tuple(((0.0, along, 0.0072), cost) for along, cost in ((0.008, 0.0), (-0.01, 0.05), (0.025, 0.05), (-0.03, 0.1))),
    (0.0, 0.008, 0.0),
    1,
    0.022,
)
"""Their `end` is the middle of their length at the bottom, as they lie."""
MIDDLES = {"bowl": np.array([-0.0222, -0.0653, 0.0]), "plate": PLATE_MIDDLE}
"""In their frames, metres."""
DROP = {"bowl": 0.075, "plate": 0.027}
"""Metres above their origins at which the object's bottom is let go."""
ASIDE = (0.0, 0.02, -0.02)
"""Metres along the object."""


def banana_to_bowl(pilot: Pilot) -> None:
    _lay(pilot, "banana", BANANA, "bowl")


def pen_to_plate(pilot: Pilot) -> None:
    _lay(pilot, "pen", PEN, "plate")


def _lay(pilot: Pilot, name: str, hold: Hold, receptacle: str) -> None:
    def ways() -> list[Way]:
        planner = Planner(pilot, name, hold.grasps, above=0.09)
        return [(planner, partial(_goals, pilot, hold, receptacle))]

    bring(ways, pilot, name, receptacle, upwards=True)


def _goals(pilot: Pilot, hold: Hold, receptacle: str, pose: np.ndarray) -> list[Goal]:
    """As it lies at world_from_object, turned about the vertical, over the receptacle's middle."""
    stand = pilot.pose(receptacle)
    middle = stand[:3, :3] @ MIDDLES[receptacle] + stand[:3, 3]
    found = []
    for number in range(24):
        turn = about_z(2 * math.pi * number / 24) @ pose[:3, :3]
        for aside in ASIDE:
            bottom = np.array([middle[0], middle[1], stand[2, 3] + DROP[receptacle]]) + turn[:, hold.axis] * aside
            found.append(Goal(transform(turn, bottom - turn @ np.array(hold.end)), 10 * abs(aside)))
    return found
