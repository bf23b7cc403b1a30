"""An open drawer: its front is pushed with both finger tips, one on either side of the knobs."""

from __future__ import annotations

import math

import numpy as np

from envs.aloha.experts.drawer import KNOBS, TURNS, Reach
from envs.aloha.experts.kinematics import solve, straight
from envs.aloha.experts.pilot import GaveUp, Pilot
from envs.aloha.experts.transforms import about_y, about_z, backed, lifted, transform
from envs.aloha.places import ARMS, CTRL_CLOSED, HOME

PITCHES = (45, 35, 55, 65, 25)
"""Degrees that the hand points down."""
APART = 0.021
"""Of the fingers, metres from the middle: the knobs pass between them."""
BEYOND = 0.007
"""Metres that the fingers go on behind where the closed drawer's knob is; its front is 6.6 mm behind it."""
TRIES = 3


def close_drawer(pilot: Pilot) -> None:
    pilot.wait(0.2)
    for _ in range(TRIES):
        found = min(_reaches(pilot), key=lambda one: one.cost, default=None)
        if found is None:
            raise GaveUp("no arm reaches the drawer")
        arm = found.arm
        pilot.fingers[arm] = APART
        pilot.move(arm, found.joints)
        pilot.straight(arm, found.grasp, 0.7)
        pilot.straight(arm, found.end, 0.5)
        pilot.wait(0.1)
        pilot.straight(arm, lifted(backed(found.end, 0.08), 0.01), 0.8, must=False)
        pilot.move(arm, HOME.copy())
        pilot.fingers[arm] = CTRL_CLOSED
        pilot.wait(0.3)
        if pilot.first_success is not None:
            return


def _reaches(pilot: Pilot) -> list[Reach]:
    box, style, found = pilot.pose("box"), pilot.style, []
    outwards = -box[:3, 1]
    closed = box[:3, :3] @ KNOBS["bottom"] + box[:3, 3]
    now = closed + outwards * pilot.world.slides()[2]
    yaw = math.atan2(box[1, 0], box[0, 0])
    before = style.about(0.04)
    for arm in ARMS:
        for pitch in PITCHES:
            for turn in TURNS:
                hand = about_z(yaw + math.pi / 2 + math.radians(turn)) @ about_y(math.radians(pitch))
                grasp = transform(hand, now - hand[:, 0] * 0.0045)
                start = lifted(grasp, 0.03)
                start[:3, 3] += outwards * before
                end = transform(hand, closed - hand[:, 0] * 0.0045 - outwards * BEYOND)
                first = solve(arm, start)
                second = None if first is None else straight(arm, first, start, grasp, 4)
                if first is None or second is None or straight(arm, second, grasp, end, 6) is None:
                    continue
                hits = pilot.scratch.touched({arm: second}, {arm: APART}, depth=0.0003)
                cost = float(np.abs((first - HOME) * [1, 1, 1, 0.8, 0.5, 0.3]).sum())
                cost += abs(turn) / 40 + abs(pitch - 45) / 40 + 3 * hits
                if pilot.scratch.way_touches(arm, HOME, first, APART):
                    cost += 2
                found.append(Reach(style.ranking.liked(cost), arm, first, grasp, end))
    return found
