"""Experts with a habit: of all grasps and goals those nearest to one posture of the task, so that its episodes look alike.

A cheapest grasp of some hundred is another one as soon as an object lies a little elsewhere: of 305 demonstrations of
plate-on-rack 155 were made by the right arm, and that of the most similar beginning was made by the same arm in only
three of four. A policy that predicts one action for what it sees learns the mean of such ways. Under a habit the arm is
chosen by a line on the table, and postures change little where beginnings do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

OTHER_ARM = 20.0
"""Added to what a grasp of the other arm costs: it is taken only where the first has none."""


@dataclass(frozen=True)
class Habit:
    """right_from: x of the object, metres, world frame, from which on the right arm is the first.

    grasp, put: joints (6,), radians, before a grasp and above a goal, of either arm (the right one is the left turned
    by 180 degrees). weights: (6,), of the joints' distances from them.
    """

    right_from: float
    grasp: np.ndarray
    put: np.ndarray
    weights: np.ndarray

    def cost_of_grasp(self, arm: str, joints: np.ndarray, x: float) -> float:
        first = "right" if x >= self.right_from else "left"
        return self._far(joints, self.grasp) + (0.0 if arm == first else OTHER_ARM)

    def cost_of_put(self, joints: np.ndarray) -> float:
        return self._far(joints, self.put)

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
