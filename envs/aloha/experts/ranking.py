"""Which of several grasps and goals an expert takes: the cheapest, or those nearest to a habit's posture."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import numpy as np

from envs.aloha.places import HOME

FIRST_JOINTS = np.array([1, 1, 1, 0.8, 0.5, 0.3])
"""Weights of the joints' distances from home, before a grasp."""


class Grasp(NamedTuple):
    """object_from_tool (4, 4), the fingers' distance from the middle before it closes, and how little it is liked."""

    tool: np.ndarray
    opening: float
    cost: float


class Goal(NamedTuple):
    """world_from_object (4, 4), and how little it is liked."""

    pose: np.ndarray
    cost: float


Near = Callable[[np.ndarray], "np.ndarray | None"]
"""The joints (6,) nearest to given ones that bring the tool to a place; None where there are none."""


class Ranking(Protocol):
    """Joints are (6,), radians: before a grasp, or above a goal. place: of the object, (3,), metres, world frame; with
    a goal, where it shall be.
    """

    def liked(self, own: float) -> float:
        """What a grasp or goal costs by itself, with this episode's liking for it."""
        ...

    def grasps(self, arm: str, place: np.ndarray, found: Sequence[tuple[Grasp, Near]]) -> list[Grasp]:
        """In the order in which they are tried, with their costs."""
        ...

    def before_grasp(self, arm: str, place: np.ndarray) -> np.ndarray:
        """Of several joints that reach a grasp the nearest to these are taken."""
        ...

    def cost_of_reaching(self, joints: np.ndarray) -> float:
        """Of a grasp, in addition to its own cost."""
        ...

    def goals(self, arm: str, found: Sequence[tuple[Goal, Near]]) -> list[Goal]:
        """In the order in which they are tried, with their costs."""
        ...

    def above_goal(self, arm: str, place: np.ndarray, start: np.ndarray) -> np.ndarray:
        """Of several joints that reach a goal the nearest to these are taken. start: the joints before."""
        ...

    def cost_of_bringing(self, joints: np.ndarray, start: np.ndarray) -> float:
        """Of a goal, in addition to its own cost."""
        ...


class Cheapest:
    """Short moves, and what is liked. draw: of this episode's likings, None for none."""

    LIKING = 0.3
    """Up to so much is added to the cost of each grasp and goal, whose own costs are about 0 to 2."""

    def __init__(self, draw: np.random.Generator | None) -> None:
        self._draw = draw

    def liked(self, own: float) -> float:
        return own if self._draw is None else own + float(self._draw.uniform(0, self.LIKING))

    def grasps(self, arm: str, place: np.ndarray, found: Sequence[tuple[Grasp, Near]]) -> list[Grasp]:
        return sorted((grasp._replace(cost=self.liked(grasp.cost)) for grasp, _ in found), key=lambda one: one.cost)

    def before_grasp(self, arm: str, place: np.ndarray) -> np.ndarray:
        return HOME

    def cost_of_reaching(self, joints: np.ndarray) -> float:
        return 0.15 * float(np.abs((joints - HOME) * FIRST_JOINTS).sum())

    def goals(self, arm: str, found: Sequence[tuple[Goal, Near]]) -> list[Goal]:
        return sorted((goal for goal, _ in found), key=lambda one: one.cost)

    def above_goal(self, arm: str, place: np.ndarray, start: np.ndarray) -> np.ndarray:
        return start

    def cost_of_bringing(self, joints: np.ndarray, start: np.ndarray) -> float:
        return 0.1 * float(np.abs(joints - start).sum())
