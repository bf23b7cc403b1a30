"""Experts with a habit: of all grasps and goals those nearest to one posture of the task; its episodes look alike.

A cheapest grasp of some hundred is another one as soon as an object lies a little elsewhere: of 305 demonstrations of
plate-on-rack 155 were made by the right arm, and that of the most similar beginning was made by the same arm in only
three of four. A policy that predicts one action for what it sees learns the mean of such ways. Under a habit the arm is
chosen by a line on the table, and postures change little where beginnings do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from envs.aloha.experts.ranking import Goal, Grasp, Near

OTHER_ARM = 20.0
"""Added to what a grasp of the other arm costs: it is taken only where the first has none."""


@dataclass(frozen=True)
class Habit:
    """A `Ranking`: what its joints cost is what a grasp or a goal costs, and nothing else.

    right_from: x of the object, metres, world frame, from which on the right arm is the first.

    grasp, put: joints (6,), radians, before a grasp and above a goal, of either arm (the right one is the left turned
    by 180 degrees). weights: (6,), of the joints' distances from them.
    """

    right_from: float
    grasp: np.ndarray
    put: np.ndarray
    weights: np.ndarray

    def liked(self, own: float) -> float:
        return own

    def grasps(self, arm: str, x: float, found: Sequence[tuple[Grasp, Near]]) -> list[Grasp]:
        aside = 0.0 if arm == ("right" if x >= self.right_from else "left") else OTHER_ARM
        reached = [(grasp, near(self.grasp)) for grasp, near in found]
        costs = [g._replace(cost=aside + self._far(joints, self.grasp)) for g, joints in reached if joints is not None]
        return sorted(costs, key=lambda one: one.cost)

    def before_grasp(self) -> np.ndarray:
        return self.grasp

    def cost_of_reaching(self, joints: np.ndarray) -> float:
        return 0.0

    def goals(self, found: Sequence[tuple[Goal, Near]]) -> list[Goal]:
        reached = [(goal, near(self.put)) for goal, near in found]
        costs = [goal._replace(cost=self._far(joints, self.put)) for goal, joints in reached if joints is not None]
        return sorted(costs, key=lambda one: one.cost)

    def above_goal(self, start: np.ndarray) -> np.ndarray:
        return self.put

    def cost_of_bringing(self, joints: np.ndarray, start: np.ndarray) -> float:
        return 0.0

    def _far(self, joints: np.ndarray, wanted: np.ndarray) -> float:
        return float(np.abs((joints - wanted) * self.weights).sum())


def _habit(right_from: float, grasp: list[float], put: list[float], weights: list[float]) -> Habit:
    return Habit(right_from, np.array(grasp), np.array(put), np.array(weights))


HABITS: Mapping[str, Habit] = {
    # the plate always lies in the right half; its rim is pinched from the right arm's side
    "plate-on-rack": _habit(
        -1.0, [0.0, -0.33, 1.0, 0.91, 0.36, 0.0], [-0.44, 0.26, -0.53, 0.17, 1.02, -1.79], [0.3, 0.3, 0.3, 1, 1, 1]
    ),
    # mugs stand in three columns; the line is between the left one and the middle one. The hand points down, and of two
    # sides of the rim it takes the one with the smaller waist angle
    "mug-on-plate": _habit(
        -0.12, [-1.0, -0.1, 0.3, 0.0, 1.34, 0.0], [-0.5, 0.3, -0.25, 0.0, 1.5, 0.0], [3, 0.3, 0.3, 1, 1, 1]
    ),
}
