"""A plan carried out: grasp, lift, look how the object lies in the hand, bring it to a goal, let go."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from envs.aloha.experts.kinematics import forward
from envs.aloha.experts.pilot import GaveUp, Pilot
from envs.aloha.experts.planner import Plan, Planner, Put
from envs.aloha.experts.ranking import Goal
from envs.aloha.experts.transforms import about_z, backed, inverse, lifted
from envs.aloha.places import ARMS, CTRL_CLOSED, CTRL_OPEN

Way = tuple[Planner, Callable[[np.ndarray], list[Goal]]]
"""One way of taking an object, and its goals for an object that lies at world_from_object (4, 4)."""
SLIPPED = 0.05
"""Metres between where an object is in the hand and where it should be, from which on it is taken to be lost."""
TRIES = 4
MIDDLE = ((-0.1, -0.05, 0.0, 0.05, 0.1), (-0.05, 0.0, 0.05))
"""x and y of the free band between the rows, where one arm lays an object down for the other, metres."""
HAND_OVER_TRIES = 30
NEAR_GOAL = 0.11
"""Metres, in plan: an object that lies farther from its receptacle will not come to rest in it."""
MOST_WAITING = 8.0
"""Seconds. Light leaning objects creep by 1 to 2 mm/s for so long, and success wants less than 1."""


def carry(planner: Planner, plan: Plan, goals: list[Goal], upwards: bool = False) -> bool:
    """Whether it was let go at a goal. upwards: the hand leaves straight up, not backwards along its approach."""
    pilot, grasp = planner.pilot, plan.grasp
    arm, opening = grasp.arm, grasp.grasp.opening
    pilot.fingers[arm] = opening
    pilot.go(arm, grasp.joints, opening)
    pilot.straight(arm, grasp.at, 0.8)
    pilot.grip(arm, CTRL_CLOSED, 0.4)
    pilot.straight(arm, lifted(grasp.at, planner.lift), 0.9)
    held = pilot.in_hand(arm, planner.name)
    slipped = float(np.linalg.norm(held[:3, 3] - inverse(grasp.grasp.tool)[:3, 3]))
    if pilot.opening(arm) <= planner.least or slipped > SLIPPED:
        pilot.log.append(f"lost: fingers at {1000 * pilot.opening(arm):.1f} mm, moved by {1000 * slipped:.0f} mm")
        pilot.grip(arm, opening, 0.2)
        pilot.home(arm)
        return False
    put = _again(planner, plan, goals, inverse(held))
    pilot.go(arm, put.joints, pilot.opening(arm), (planner.name, held))
    pilot.straight(arm, put.at, 0.6, must=False)
    pilot.wait(0.1)
    pilot.grip(arm, min(CTRL_OPEN, max(opening, 0.02)), 0.35)
    here = forward(arm, pilot.joints[arm])
    away = lifted(here, 0.1) if upwards else lifted(backed(here, 0.07), 0.02)
    pilot.straight(arm, away, 0.9, must=False)
    pilot.home(arm)
    return True


def _again(planner: Planner, plan: Plan, goals: list[Goal], tool: np.ndarray) -> Put:
    """The goal anew, for how the object really lies in the hand."""
    pilot, arm = planner.pilot, plan.grasp.arm
    start = pilot.joints[arm]
    return (
        planner.put(arm, tool, goals, start, pilot.opening(arm), most=3)
        or planner.put(arm, tool, goals, start, 0.01, check=False)
        or plan.put
    )


def hand_over(planners: Sequence[Way]) -> bool:
    """Lay the object down in the middle with one arm, so that the other can take it to a goal; False if none can."""
    first = planners[0][0]
    pilot = first.pilot
    pose = pilot.pose(first.name)
    middles = sorted(_middles(first, pose), key=lambda goal: goal.cost + float(pilot.style.draw.uniform(0, 0.15)))
    for arm, other in (ARMS, ARMS[::-1]):
        grasps = [(planner, grasp) for planner, _ in planners for grasp in planner.reached(arm, pose, 5)]
        for middle in middles[:HAND_OVER_TRIES] if grasps else ():
            if not any(p.plan(goals(middle.pose), middle.pose, (other,), 4) for p, goals in planners):
                continue
            for planner, grasp in grasps:
                put = planner.put(arm, grasp.grasp.tool, [middle], grasp.lifted, 0.012)
                if put is not None:
                    pilot.log.append("handed over")
                    carry(planner, Plan(grasp.cost + put.cost, grasp, put), [middle])
                    return True
    return False


def _middles(planner: Planner, pose: np.ndarray) -> list[Goal]:
    """Places for the object as it lies, turned anyhow, where nothing else is."""
    found = []
    centre = planner.centre(pose)
    for x in MIDDLE[0]:
        for y in MIDDLE[1]:
            for eighth in range(8):
                turn = about_z(eighth * math.pi / 4)
                moved = pose.copy()
                moved[:3, :3] = turn @ pose[:3, :3]
                offset = turn @ (pose[:3, 3] - centre)
                moved[:3, 3] = [x + offset[0], y + offset[1], pose[2, 3] + 0.004]
                if not planner.pilot.scratch.touched({}, held=(planner.name, moved), depth=0.0005):
                    found.append(Goal(moved, 2 * abs(x) + 2 * abs(y)))
    return found


def bring(
    planners: Callable[[], Sequence[Way]],
    pilot: Pilot,
    name: str,
    receptacle: str,
    upwards: bool = False,
) -> None:
    """Try, look and try again until the task is done. Raises `GaveUp`.

    planners: the ways, made anew for each try.
    """
    pilot.wait(0.3)
    for attempt in range(TRIES):
        ways = planners()
        pose = pilot.pose(name)
        best: tuple[Plan, Planner, list[Goal]] | None = None
        for most in (6, 40):
            for planner, goals_of in ways:
                goals = goals_of(pose)
                plan = planner.plan(goals, most=most)
                if plan is not None and (best is None or plan.cost < best[0].cost):
                    best = plan, planner, goals
            if best is not None:
                break
        if best is not None:
            carry(best[1], best[0], best[2], upwards)
        elif not hand_over(ways):
            pilot.log.append("no plan")
            if attempt:
                raise GaveUp("no arm can take the object to its goal")
        rest(pilot, name, receptacle)
        if pilot.first_success is not None:
            return


def rest(pilot: Pilot, name: str, receptacle: str) -> None:
    """Wait until the task is done; a second only where the object does not lie in its receptacle."""
    for tenth in range(round(MOST_WAITING / 0.1)):
        pilot.wait(0.1)
        away = np.linalg.norm(pilot.pose(name)[:2, 3] - pilot.pose(receptacle)[:2, 3])
        if pilot.first_success is not None or (tenth >= 10 and away > NEAR_GOAL):
            return
