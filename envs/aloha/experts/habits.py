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

from envs.aloha.experts.ranking import Cheapest, Goal, Grasp, Near, Ranking

REFLECT = np.array([-1.0, 1.0, 1.0, -1.0, 1.0, -1.0])
"""Of an arm's joints: a motion reflected in the upright plane through its base and the other arm's."""
OTHER_ARM = 20.0
"""Added to what a grasp of the other arm costs: it is taken only where the first has none."""


@dataclass(frozen=True)
class Habit:
    """A `Ranking`: what its joints cost is what a grasp or a goal costs, and nothing else.

    right_from: x of the object, metres, world frame, from which on the right arm is the first. grasp, put: joints (6,),
    radians, before a grasp and above a goal. weights: (6,), of the joints' distances from them. reflected: whether
    `grasp` and `put` are the right arm's over the half of the table nearer to the person (y < 0), and are reflected for
    the left arm, and again over the other half; else they are of either arm anywhere.
    """

    right_from: float
    grasp: np.ndarray
    put: np.ndarray
    weights: np.ndarray
    reflected: bool

    def liked(self, own: float) -> float:
        return own

    def grasps(self, arm: str, place: np.ndarray, found: Sequence[tuple[Grasp, Near]]) -> list[Grasp]:
        aside = 0.0 if arm == ("right" if place[0] >= self.right_from else "left") else OTHER_ARM
        wanted = self.before_grasp(arm, place)
        reached = [(grasp, near(wanted)) for grasp, near in found]
        costs = [g._replace(cost=aside + self._far(joints, wanted)) for g, joints in reached if joints is not None]
        return sorted(costs, key=lambda one: one.cost)

    def before_grasp(self, arm: str, place: np.ndarray) -> np.ndarray:
        return self.grasp * self.side(arm, place)

    def cost_of_reaching(self, joints: np.ndarray) -> float:
        return 0.0

    def goals(self, arm: str, found: Sequence[tuple[Goal, Near]]) -> list[Goal]:
        costs = []
        for goal, near in found:
            wanted = self.put * self.side(arm, goal.pose[:3, 3])
            joints = near(wanted)
            if joints is not None:
                costs.append(goal._replace(cost=self._far(joints, wanted)))
        return sorted(costs, key=lambda one: one.cost)

    def above_goal(self, arm: str, place: np.ndarray, start: np.ndarray) -> np.ndarray:
        return self.put * self.side(arm, place)

    def cost_of_bringing(self, joints: np.ndarray, start: np.ndarray) -> float:
        return 0.0

    def side(self, arm: str, place: np.ndarray) -> np.ndarray:
        """(6,) of 1 and -1 by which the posture's joints are multiplied for this arm and this place."""
        return REFLECT if self.reflected and (arm == "left") != (place[1] > 0) else np.ones(6)

    def _far(self, joints: np.ndarray, wanted: np.ndarray) -> float:
        return float(np.abs((joints - wanted) * self.weights).sum())


def _habit(
    right_from: float, grasp: list[float], put: list[float], weights: list[float], reflected: bool = False
) -> Habit:
    return Habit(right_from, np.array(grasp), np.array(put), np.array(weights), reflected)


_WRIST = [0.3, 0.3, 0.3, 1, 1, 1]
"""Waist, shoulder and elbow have to follow the object."""
HABITS: Mapping[str, Ranking] = {
    # the knob leaves one way: the arm in front of the drawer, and a hand in line with it
    "drawer-open": Cheapest(None),
    # the plate always lies in the right half; its rim is pinched from the right arm's side
    "plate-on-rack": _habit(-1.0, [0.0, -0.33, 1.0, 0.91, 0.36, 0.0], [-0.44, 0.26, -0.53, 0.17, 1.02, -1.79], _WRIST),
    # mugs stand in three columns; the line is between the left one and the middle one. The hand points down, and of two
    # sides of the rim it takes the one with the smaller waist angle
    "mug-on-plate": _habit(
        -0.12, [-1.0, -0.1, 0.3, 0.0, 1.34, 0.0], [-0.5, 0.3, -0.25, 0.0, 1.5, 0.0], [3, 0.3, 0.3, 1, 1, 1]
    ),
    # of these three the pair of postures that has in forty beginnings (seeds 7000 to 7039) the nearest grasp and goal:
    # tests/simulations/aloha_habits.py
    "pen-in-container": _habit(
        -0.12, [0.32, 0.09, 0.34, 0.0, 1.34, 0.34], [0.15, -0.02, 0.14, 1.02, 0.65, -1.13], _WRIST, reflected=True
    ),
    "screwdriver-in-caddy": _habit(
        -0.12, [0.51, 0.02, 0.39, 0.0, 1.15, -0.74], [0.04, 0.34, -0.13, -1.36, -0.79, 1.26], _WRIST, reflected=True
    ),
    "can-opener-in-caddy": _habit(
        -0.12, [0.46, -0.14, 0.59, 0.0, 1.12, -1.27], [0.43, 0.37, -0.06, 1.37, -0.53, 1.89], _WRIST, reflected=True
    ),
}
