"""The bowl: pinched at its rim from above, put down level on the rack's wires."""

from __future__ import annotations

import math

import numpy as np

from envs.aloha.experts.carry import Way, bring
from envs.aloha.experts.pilot import Pilot
from envs.aloha.experts.planner import Planner
from envs.aloha.experts.ranking import Goal, Grasp
from envs.aloha.experts.transforms import Z, about_y, about_z, transform

MIDDLE = np.array([-0.01036, -0.0305])
"""Of the rim, x and y in the bowl's frame."""
RIM_RADIUS, RIM_HEIGHT = 0.0555, 0.0387
TILTS = (0, 20, -20, 38, -38)
ON_RACK = 0.118
"""Metres from the rack's origin up to the bowl's at which it is let go: the wires are 11 cm high."""
PLACES = ((0.0, -0.02), (0.03, -0.02), (-0.03, -0.02), (0.0, 0.02), (0.0, -0.06), (0.0, 0.05), (0.0, -0.1))
"""Over the wires, x and y in the rack's frame, metres, in the order of preference."""


def bowl_to_rack(pilot: Pilot) -> None:
    def ways() -> list[Way]:
        def centre(pose: np.ndarray) -> np.ndarray:
            return pose[:3, :3] @ np.array([*MIDDLE, 0.0]) + pose[:3, 3]

        planner = Planner(pilot, "bowl", lambda pose: GRASPS, lift=0.16, above=0.06, centre=centre)
        return [(planner, lambda pose: _goals(pilot))]

    bring(ways, pilot, "bowl", "rack", upwards=True)


def _grasps() -> list[Grasp]:
    found = []
    for number in range(24):
        angle = 2 * math.pi * number / 24
        outwards = np.array([math.cos(angle), math.sin(angle), 0.0])
        place = [*(MIDDLE + RIM_RADIUS * outwards[:2]), RIM_HEIGHT - 0.009]
        for sign in (1, -1):
            closing = sign * outwards
            hand = np.column_stack([-Z, closing, np.cross(-Z, closing)])
            for tilt in TILTS:
                turned = hand @ about_y(math.radians(tilt))
                found.append(Grasp(transform(turned, place), 0.021, abs(tilt) / 40))
    return found


GRASPS = _grasps()


def _goals(pilot: Pilot) -> list[Goal]:
    rack = pilot.pose("rack")
    found = []
    for number in range(12):
        turn = about_z(2 * math.pi * number / 12)
        for order, (x, y) in enumerate(PLACES):
            axis = rack[:3, :3] @ np.array([x, y, 0.0]) + rack[:3, 3] + [0, 0, ON_RACK]
            found.append(Goal(transform(turn, axis - turn @ np.array([*MIDDLE, 0.0])), 0.1 * order))
    return found
