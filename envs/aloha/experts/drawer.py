"""A drawer of the box: pinch its knob, pull, let go."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from envs.aloha.experts.kinematics import solve, straight
from envs.aloha.experts.pilot import GaveUp, Pilot
from envs.aloha.experts.transforms import about_y, about_z, backed, lifted, transform
from envs.aloha.places import ARMS, CTRL_CLOSED, HOME

KNOBS = {
    "bottom": np.array([0.0, -0.08, 0.012]),
    "middle": np.array([0.0, -0.08, 0.04]),
    "top": np.array([0.0, -0.08, 0.068]),
}
"""Centres of the knobs, balls of 5 mm, in the box's frame; the bottom one is 12 mm above the table."""
PITCHES = (35, 45, 55, 25, 15)
"""Degrees that the hand points down; steeper, it would hit the knob above."""
TURNS = (0, -12, 12, -25, 25)
"""Degrees that it comes from aside."""
OPEN, INNER_OPEN = 0.019, 0.015
"""Finger distances, metres: wide open fingers would hit the drawer's face."""
PULL = 0.085
"""Metres, of the drawer's 0.1; 0.05 is success, and letting go pushes it back by some millimetres."""
TRIES = 3


class Reach(NamedTuple):
    cost: float
    arm: str
    joints: np.ndarray
    grasp: np.ndarray
    end: np.ndarray


def open_drawer(pilot: Pilot, drawer: str = "bottom") -> None:
    """drawer: bottom | middle | top."""
    pilot.wait(0.4)  # the box falls at first
    for _ in range(TRIES):
        found = min(_reaches(pilot, KNOBS[drawer]), key=lambda one: one.cost, default=None)
        if found is None:
            raise GaveUp("no arm reaches the knob")
        arm = found.arm
        pilot.fingers[arm] = OPEN
        pilot.move(arm, found.joints)
        pilot.straight(arm, found.grasp, 0.6)
        pilot.grip(arm, CTRL_CLOSED, 0.4)
        pilot.straight(arm, found.end, 0.5)
        pilot.wait(0.1)
        pilot.grip(arm, 0.028, 0.3)
        pilot.straight(arm, backed(found.end, 0.07), 0.8, must=False)
        pilot.move(arm, HOME.copy())
        pilot.fingers[arm] = CTRL_CLOSED
        pilot.wait(0.3)
        if pilot.first_success is not None:
            return


def _reaches(pilot: Pilot, centre: np.ndarray) -> list[Reach]:
    box, style, found = pilot.pose("box"), pilot.style, []
    knob = box[:3, :3] @ centre + box[:3, 3]
    yaw = math.atan2(box[1, 0], box[0, 0])
    outwards = -box[:3, 1]
    pull = style.about(PULL) if style.vary else PULL
    before = style.about(0.05)
    for arm in ARMS:
        for pitch in PITCHES:
            for turn in TURNS:
                hand = about_z(yaw + math.pi / 2 + math.radians(turn)) @ about_y(math.radians(pitch))
                grasp = transform(hand, knob - hand[:, 0] * 0.0045)
                start = lifted(backed(grasp, before), 0.01)
                start[:3, 3] += outwards * 0.02
                end = grasp.copy()
                end[:3, 3] += outwards * min(pull, 0.09)
                first = solve(arm, start)
                second = None if first is None else straight(arm, first, start, grasp, 4)
                if first is None or second is None or straight(arm, second, grasp, end, 6) is None:
                    continue
                scratch = pilot.scratch
                hits = sum(scratch.touched({arm: second}, {arm: g}, depth=0.0003) for g in (OPEN, INNER_OPEN))
                cost = float(np.abs((first - HOME) * [1, 1, 1, 0.8, 0.5, 0.3]).sum())
                cost += abs(turn) / 40 + abs(pitch - 42) / 40 + 3 * hits
                if scratch.way_touches(arm, HOME, first, OPEN):
                    cost += 2
                found.append(Reach(style.ranking.liked(cost), arm, first, grasp, end))
    return found
