"""Where to grasp an object and where to put it down: sets of both, filtered by what an arm can do without touching."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from envs.aloha.experts.habits import Habit
from envs.aloha.experts.kinematics import solve, straight
from envs.aloha.experts.pilot import Pilot
from envs.aloha.experts.transforms import backed, lifted
from envs.aloha.places import ARMS, BASES, HOME

FARTHEST = 0.80
"""Metres from an arm's base, in plan; farther it reaches nothing."""
HELD_DEPTH = 0.0015
"""Metres that a held object may overlap what it is put onto."""


class Grasp(NamedTuple):
    """object_from_tool (4, 4), the fingers' distance from the middle before it closes, and how little it is liked."""

    tool: np.ndarray
    opening: float
    cost: float


class Goal(NamedTuple):
    """world_from_object (4, 4), and how little it is liked."""

    pose: np.ndarray
    cost: float


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

    def _liked(self, grasps: list[Grasp]) -> list[Grasp]:
        """In the order of this episode's liking."""
        return sorted((g._replace(cost=self.pilot.style.cost(g.cost)) for g in grasps), key=lambda g: g.cost)

    def reached(self, arm: str, pose: np.ndarray, most: int) -> list[Reached]:
        """Grasps of the object at world_from_object that an arm can take, the first `most` of the liked ones."""
        scratch, found, habit = self.pilot.scratch, [], self.pilot.style.habit
        tries = self._by_habit(habit, arm, pose) if habit else self._liked(self.grasps(pose))
        for grasp in tries:
            at = pose @ grasp.tool
            if np.linalg.norm(at[:2, 3] - BASES[arm][:2]) > FARTHEST:
                continue
            before = backed(at, self.before)
            first = solve(arm, before, habit.grasp if habit else HOME)
            second = None if first is None else straight(arm, first, before, at, 3)
            up = None if second is None else straight(arm, second, at, lifted(at, self.lift), 4)
            if first is None or second is None or up is None:
                continue
            opened = {arm: grasp.opening}
            if scratch.touched({arm: second}, opened, ignore=(self.name,)):
                continue
            cost = grasp.cost
            if habit is None:
                cost += 0.15 * float(np.abs((first - HOME) * [1, 1, 1, 0.8, 0.5, 0.3]).sum())
            if scratch.touched({arm: second}, opened, depth=0.004):  # the open fingers run into the object
                cost += 2
            found.append(Reached(cost, arm, grasp, first, up, before, at))
            if len(found) >= most:
                break
        return sorted(found, key=lambda one: one.cost)

    def _by_habit(self, habit: Habit, arm: str, pose: np.ndarray) -> list[Grasp]:
        """Those that an arm can come to, each with what its joints cost."""
        found = []
        for grasp in self.grasps(pose):
            joints = solve(arm, backed(pose @ grasp.tool, self.before), habit.grasp)
            if joints is not None:
                found.append(grasp._replace(cost=habit.cost_of_grasp(arm, joints, float(pose[0, 3]))))
        return sorted(found, key=lambda grasp: grasp.cost)

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
        scratch, found, habit = self.pilot.scratch, [], self.pilot.style.habit
        if habit is not None:
            goals = self._goals_by_habit(habit, arm, tool, goals)
        for goal in sorted(goals, key=lambda one: one.cost):
            at = goal.pose @ tool
            if np.linalg.norm(at[:2, 3] - BASES[arm][:2]) > FARTHEST:
                continue
            above = lifted(at, self.above)
            first = solve(arm, above, habit.put if habit else start)
            second = None if first is None else straight(arm, first, above, at, 4)
            if first is None or second is None:
                continue
            if check:
                there, over = (self.name, goal.pose), (self.name, lifted(goal.pose, self.above))
                if scratch.touched({arm: second}, {arm: fingers}, there, self.may_touch, self.held_depth):
                    continue
                if scratch.touched({arm: first}, {arm: fingers}, over, (), self.held_depth):
                    continue
            cost = goal.cost if habit else goal.cost + 0.1 * float(np.abs(first - start).sum())
            found.append(Put(cost, goal, first, at))
            if len(found) >= most:
                break
        return min(found, key=lambda one: one.cost) if found else None

    def _goals_by_habit(self, habit: Habit, arm: str, tool: np.ndarray, goals: list[Goal]) -> list[Goal]:
        """Those that an arm can come to, each with what its joints cost."""
        found = []
        for goal in goals:
            joints = solve(arm, lifted(goal.pose @ tool, self.above), habit.put)
            if joints is not None:
                found.append(goal._replace(cost=habit.cost_of_put(joints)))
        return found

    def plan(
        self, goals: list[Goal], pose: np.ndarray | None = None, arms: tuple[str, ...] = ARMS, most: int = 6
    ) -> Plan | None:
        """The cheapest grasp with a goal. pose: world_from_object, None for where it is."""
        pose = self.pilot.pose(self.name) if pose is None else pose
        liked = [goal._replace(cost=self.pilot.style.cost(goal.cost)) for goal in goals]
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
