"""The plate: pinched at its rim from aside, turned upright, put between two wires of the rack."""

from __future__ import annotations

import math

import numpy as np

from envs.aloha.experts.carry import carry, rest
from envs.aloha.experts.pilot import GaveUp, Pilot
from envs.aloha.experts.planner import Plan, Planner
from envs.aloha.experts.ranking import Goal, Grasp
from envs.aloha.experts.transforms import Z, transform
from envs.aloha.places import ARMS

MIDDLE = np.array([-0.00805, 0.0, 0.0])
"""Of the plate, in its frame."""
RADIUS, RIM = 0.0917, 0.01778
"""Of its rim, and the rim's height."""
PITCHES = (48, 40, 56, 33)
"""Degrees that the hand points down."""
LEANS = (0, 25, -25, 50, -50)
"""Degrees that the held point of the rim is away from the top."""
SLOTS = (-0.047, -0.099, 0.032, 0.068, -0.004)
"""Middles between the rack's rows of wires, y in its frame, in the order of preference."""
OPENING, HELD = 0.0165, 0.011
"""Of the fingers before and while they hold, metres from the middle."""
GOOD = 1.6
"""The cost of a plan that is taken without looking further."""
TRIES = 4


def plate_to_rack(pilot: Pilot) -> None:
    pilot.wait(0.3)
    for attempt in range(TRIES):
        planner = Planner(
            pilot, "plate", lambda pose: GRASPS, before=0.06, lift=0.16, above=0.12, held_depth=0.003, least=0.0082
        )
        plan = _plan(planner, 14 if attempt else 5)
        if plan is None:
            raise GaveUp("no arm can take the plate to the rack")
        carry(planner, plan, _goals(pilot, plan.grasp.grasp.tool))
        rest(pilot, "plate", "rack")
        if pilot.first_success is not None:
            return


def _plan(planner: Planner, most: int) -> Plan | None:
    pilot, best = planner.pilot, None
    pose = pilot.pose("plate")
    for arm in ARMS:
        for grasp in planner.reached(arm, pose, most):
            goals = _goals(pilot, grasp.grasp.tool)
            put = planner.put(arm, grasp.grasp.tool, goals, grasp.lifted, HELD)
            if put is not None and (best is None or grasp.cost + put.cost < best.cost):
                best = Plan(grasp.cost + put.cost, grasp, put)
            if best is not None and best.cost < GOOD:
                break
    return best


def _grasps() -> list[Grasp]:
    found = []
    for number in range(24):
        angle = 2 * math.pi * number / 24
        outwards = np.array([math.cos(angle), math.sin(angle), 0.0])
        tangent = np.cross(Z, outwards)
        place = MIDDLE + outwards * (RADIUS - 0.004) + [0, 0, RIM - 0.006]
        for pitch in PITCHES:
            down = math.radians(pitch)
            approach = -outwards * math.cos(down) - Z * math.sin(down)
            normal = np.cross(approach, tangent)
            for sign in (1, -1):
                hand = np.column_stack([approach, sign * normal, np.cross(approach, sign * normal)])
                found.append(Grasp(transform(hand, place), OPENING, abs(pitch - 48) / 60))
    return found


GRASPS = _grasps()


def _goals(pilot: Pilot, tool: np.ndarray) -> list[Goal]:
    """Upright in a slot, the held point of the rim on top or beside it. tool: object_from_tool."""
    rack = pilot.pose("rack")
    across = rack[:3, 1].copy()
    across[2] = 0
    across /= np.linalg.norm(across)
    along = np.cross(across, Z)
    inwards = -(tool[:3, 3] - MIDDLE)
    inwards[2] = 0
    inwards /= np.linalg.norm(inwards)
    lying = np.column_stack([inwards, np.cross(Z, inwards), Z])
    found = []
    for sign in (1, -1):
        axis = sign * across
        for lean in LEANS:
            down = -Z * math.cos(math.radians(lean)) + along * math.sin(math.radians(lean))
            turn = np.column_stack([down, np.cross(axis, down), axis]) @ lying.T
            for number, slot in enumerate(SLOTS):
                middle = rack[:3, 3] + rack[:3, 1] * slot + [0, 0, 0.034 + RADIUS] - axis * 0.008
                found.append(Goal(transform(turn, middle - turn @ MIDDLE), abs(lean) / 80 + 0.15 * number))
    return [goal._replace(cost=pilot.style.ranking.liked(goal.cost)) for goal in found]
