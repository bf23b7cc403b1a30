"""The mug: pinched at its rim from above, put down upright on the plate."""

from __future__ import annotations

import math

import numpy as np

from envs.aloha.experts.carry import Way, bring
from envs.aloha.experts.pilot import Pilot
from envs.aloha.experts.planner import Planner
from envs.aloha.experts.ranking import Goal, Grasp
from envs.aloha.experts.transforms import Z, about_y, about_z, transform

AXIS = np.array([-0.0205, 0.016])
"""Of the mug, x and y in its frame; its handle is at +x."""
RIM_RADIUS, RIM_HEIGHT = 0.0405, 0.0817
BESIDE_HANDLE = math.radians(40)
TILTS = (0, 20, -20, 38, -38)
PLATE_MIDDLE = np.array([-0.0105, 0.0, 0.0])
"""In the plate's frame."""
ON_PLATE = 0.0095
"""Metres from the plate's origin up to a mug's that stands on it."""
ASIDE = ((0.0, 0.0), (0.015, 0.0), (-0.015, 0.0), (0.0, 0.015), (0.0, -0.015))


def mug_to_plate(pilot: Pilot) -> None:
    def ways() -> list[Way]:
        def centre(pose: np.ndarray) -> np.ndarray:
            return pose[:3, :3] @ np.array([*AXIS, 0.0]) + pose[:3, 3]

        planner = Planner(pilot, "mug", lambda pose: GRASPS, above=0.09, may_touch=("plate",), centre=centre)
        return [(planner, lambda pose: _goals(pilot))]

    bring(ways, pilot, "mug", "plate", upwards=True)


def _grasps() -> list[Grasp]:
    found = []
    for number in range(24):
        angle = 2 * math.pi * number / 24
        if abs(math.atan2(math.sin(angle), math.cos(angle))) < BESIDE_HANDLE:
            continue
        outwards = np.array([math.cos(angle), math.sin(angle), 0.0])
        place = [*(AXIS + RIM_RADIUS * outwards[:2]), RIM_HEIGHT - 0.010]
        for sign in (1, -1):
            closing = sign * outwards
            hand = np.column_stack([-Z, closing, np.cross(-Z, closing)])
            for tilt in TILTS:
                turned = hand @ about_y(math.radians(tilt))
                found.append(Grasp(transform(turned, place), 0.021, abs(tilt) / 40))
    return found


GRASPS = _grasps()


def _goals(pilot: Pilot) -> list[Goal]:
    plate = pilot.pose("plate")
    middle = plate[:3, :3] @ PLATE_MIDDLE + plate[:3, 3]
    found = []
    for number in range(12):
        turn = about_z(2 * math.pi * number / 12)
        for x, y in ASIDE:
            axis = np.array([middle[0] + x, middle[1] + y, plate[2, 3] + ON_PLATE])
            place = axis - turn @ np.array([*AXIS, 0.0])
            found.append(Goal(transform(turn, place), 0.3 * (abs(x) + abs(y)) / 0.015))
    return found
