"""Where to grasp an object and where to put it down: sets of both, filtered by what an arm can do without touching."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np

from envs.aloha.experts.kinematics import solve, straight
from envs.aloha.experts.pilot import Pilot
from envs.aloha.experts.ranking import Goal, Grasp
from envs.aloha.experts.transforms import backed, lifted
from envs.aloha.places import ARMS, BASES

FARTHEST = 0.80
"""Metres from an arm's base, in plan; farther it reaches nothing."""
HELD_DEPTH = 0.0015
"""Metres that a held object may overlap what it is put onto."""


class Reached(NamedTuple):
    """A grasp that an arm can take: joints before it and lifted, and tool poses before and at it."""

    cost: float
    arm: str
    grasp: Grasp
    joints: np.ndarray
    lifted: np.ndarray
    before: np.ndarray
    at: np.ndarray


class Put(NamedTuple):
    """A goal that an arm can bring its object to: joints above it, and the tool's pose at it."""

    cost: float
    goal: Goal
    joints: np.ndarray
    at: np.ndarray


class Plan(NamedTuple):
    cost: float
    grasp: Reached
    put: Put


@dataclass
class Planner:
    """For one object. grasps: the set for an object at world_from_object.

    ways: metres that the tool comes from before a grasp, lifts after it and comes down before a goal. may_touch:
    objects that the held one may touch at its goal. held_depth: as `HELD_DEPTH`. least: the fingers' distance from
    the middle, metres, below which they are taken to hold nothing.
    """

    pilot: Pilot
    name: str
    grasps: Callable[[np.ndarray], list[Grasp]]
    before: float = 0.07
    lift: float = 0.12
    above: float = 0.10
    may_touch: tuple[str, ...] = ()
    held_depth: float = HELD_DEPTH
    least: float = 0.0085
    centre: Callable[[np.ndarray], np.ndarray] = lambda pose: pose[:3, 3]

    def __post_init__(self) -> None:
        about = self.pilot.style.about
        self.before, self.lift, self.above = about(self.before), about(self.lift), about(self.above)

    def reached(self, arm: str, pose: np.ndarray, most: int) -> list[Reached]:
        """Grasps of the object at world_from_object that an arm can take, the first `most` of the liked ones."""
        scratch, ranking, found = self.pilot.scratch, self.pilot.style.ranking, []
        comes = [(grasp, partial(solve, arm, backed(pose @ grasp.tool, self.before))) for grasp in self.grasps(pose)]
        for grasp in ranking.grasps(arm, pose[:3, 3], comes):
            at = pose @ grasp.tool
            if np.linalg.norm(at[:2, 3] - BASES[arm][:2]) > FARTHEST:
                continue
            before = backed(at, self.before)
            first = solve(arm, before, ranking.before_grasp(arm, pose[:3, 3]))
            second = None if first is None else straight(arm, first, before, at, 3)
            up = None if second is None else straight(arm, second, at, lifted(at, self.lift), 4)
            if first is None or second is None or up is None:
                continue
            opened = {arm: grasp.opening}
            if scratch.touched({arm: second}, opened, ignore=(self.name,)):
                continue
            cost = grasp.cost + ranking.cost_of_reaching(first)
            if scratch.touched({arm: second}, opened, depth=0.004):  # the open fingers run into the object
                cost += 2
            found.append(Reached(cost, arm, grasp, first, up, before, at))
            if len(found) >= most:
                break
        return sorted(found, key=lambda one: one.cost)

    def put(
        self,
        arm: str,
        tool: np.ndarray,
        goals: list[Goal],
        start: np.ndarray,
        fingers: float,
        most: int = 1,
        check: bool = True,
    ) -> Put | None:
        """The best of the first `most` goals that an arm can bring the object to, from the joints `start`.

        tool: object_from_tool (4, 4). check: False takes goals at which something is touched, too.
        """
        scratch, ranking, found = self.pilot.scratch, self.pilot.style.ranking, []
        comes = [(goal, partial(solve, arm, lifted(goal.pose @ tool, self.above))) for goal in goals]
        for goal in ranking.goals(arm, comes):
            at = goal.pose @ tool
            if np.linalg.norm(at[:2, 3] - BASES[arm][:2]) > FARTHEST:
                continue
            above = lifted(at, self.above)
            first = solve(arm, above, ranking.above_goal(arm, goal.pose[:3, 3], start))
            second = None if first is None else straight(arm, first, above, at, 4)
            if first is None or second is None:
                continue
            if check:
                there, over = (self.name, goal.pose), (self.name, lifted(goal.pose, self.above))
                if scratch.touched({arm: second}, {arm: fingers}, there, self.may_touch, self.held_depth):
                    continue
                if scratch.touched({arm: first}, {arm: fingers}, over, (), self.held_depth):
                    continue
            cost = goal.cost + ranking.cost_of_bringing(first, start)
            found.append(Put(cost, goal, first, at))
            if len(found) >= most:
                break
        return min(found, key=lambda one: one.cost) if found else None

    def plan(
        self, goals: list[Goal], pose: np.ndarray | None = None, arms: tuple[str, ...] = ARMS, most: int = 6
    ) -> Plan | None:
        """The cheapest grasp with a goal. pose: world_from_object, None for where it is."""
        pose = self.pilot.pose(self.name) if pose is None else pose
        liked = [goal._replace(cost=self.pilot.style.ranking.liked(goal.cost)) for goal in goals]
        best: Plan | None = None
        for arm in arms:
            for grasp in self.reached(arm, pose, most):
                if best is not None and grasp.cost >= best.cost:
                    break
                fingers = max(0.009, grasp.grasp.opening - 0.006)
                put = self.put(arm, grasp.grasp.tool, liked, grasp.lifted, fingers)
                if put is not None and (best is None or grasp.cost + put.cost < best.cost):
                    best = Plan(grasp.cost + put.cost, grasp, put)
        return best
