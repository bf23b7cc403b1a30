"""Long objects that lie: held near one end and hung, the other end down, into a receptacle. Nothing has to fit tightly.

Of each object its frame's long axis, where along it a hand may take it, and the point of the end that hangs down.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from envs.aloha.experts.carry import Way, bring
from envs.aloha.experts.pilot import Pilot
from envs.aloha.experts.planner import Planner
from envs.aloha.experts.ranking import Goal, Grasp
from envs.aloha.experts.transforms import Z, inverse, transform
from envs.aloha.places import TABLE_TOP

TILTS = (0, 15, -15, 30, -30, 42, -42)
"""Degrees of the approach along the object, from the vertical: they are what reaches all of the table."""
CLEAR = 0.0025
"""Metres that finger tips keep from the table."""


@dataclass(frozen=True)
class Hold:
    """axis: the object's long axis, 0 to 2. points: places to take it, object frame, each with a cost. end: the point
    that hangs down, sign: whether it is at the axis's positive end. opening: of the fingers, metres from the middle.
    """

    axis: int
    points: tuple[tuple[tuple[float, float, float], float], ...]
    end: tuple[float, float, float]
    sign: int
    opening: float

    def grasps(self, pose: np.ndarray) -> list[Grasp]:
        """From above, across the object as it lies at world_from_object."""
        found = []
        along = pose[:3, self.axis].copy()
        along[2] = 0
        along /= np.linalg.norm(along)
        across = np.cross(Z, along)
        back = inverse(pose)
        for point, cost in self.points:
            place = pose[:3, :3] @ np.array(point) + pose[:3, 3]
            for sign in (1, -1):
                for tilt in TILTS:
                    angle = math.radians(tilt)
                    approach = -Z * math.cos(angle) + along * math.sin(angle)
                    hand = np.column_stack([approach, sign * across, np.cross(approach, sign * across)])
                    lowest = TABLE_TOP + 0.008 * math.cos(angle) + 0.005 * abs(math.sin(angle)) + CLEAR
                    at = [place[0], place[1], max(place[2], lowest)]
                    found.append(Grasp(back @ transform(hand, at), self.opening, cost + abs(tilt) / 60))
        return found

    def goals(
        self, pose: np.ndarray, target: np.ndarray, tilts: Sequence[float], headings: Sequence[float]
    ) -> list[Goal]:
        """Its end at `target` (3,), hanging `tilts` degrees out of the vertical, towards each heading (radians).

        pose: world_from_object as it lies, which says which of its sides is up.
        """
        found = []
        turn = pose[:3, :3]
        along = turn[:, self.axis] * self.sign
        flat = np.array([along[0], along[1], 0.0])
        across = np.cross(Z, flat / np.linalg.norm(flat))
        lying = np.column_stack([along, across, np.cross(along, across)])
        for tilt in tilts:
            for heading in headings:
                level = np.array([math.cos(heading), math.sin(heading), 0.0])
                down = -Z * math.cos(math.radians(tilt)) + level * math.sin(math.radians(tilt))
                for sign in (1, -1):
                    side = sign * np.cross(Z, level)
                    hanging = np.column_stack([down, side, np.cross(down, side)]) @ lying.T @ turn
                    found.append(Goal(transform(hanging, target - hanging @ np.array(self.end)), abs(tilt) / 60))
        return found


GoalsOf = Callable[[Hold, np.ndarray], list[Goal]]
"""Goals of an object that is held so and lies at world_from_object (4, 4)."""


def _pen_points(sign: int) -> tuple[tuple[tuple[float, float, float], float], ...]:
    along = (0.045, 0.055, 0.035, 0.065)
    return tuple(((0.0, 0.008 - sign * one, 0.0072), 0.1 * number) for number, one in enumerate(along))


PEN = (
    Hold(1, _pen_points(1), (0.0, 0.101, 0.007), 1, 0.022),
    Hold(1, _pen_points(-1), (0.0, -0.0844, 0.007), -1, 0.022),
)
"""Either end down, held near the other."""
SCREWDRIVER = (
    Hold(
        0,
        (((0.0, 0.0055, 0.014), 0.0), ((-0.03, 0.0055, 0.0115), 0.1), ((-0.05, 0.0055, 0.01), 0.2)),
        (0.1315, 0.005, 0.022),
        1,
        0.02,
    ),
)
"""By the shaft, the heavy handle down."""
CAN_OPENER = (
    Hold(0, (((0.045, -0.0012, 0.013), 0.0), ((0.035, -0.0012, 0.013), 0.1)), (-0.077, -0.0012, 0.030), -1, 0.0368),
    Hold(0, (((-0.03, -0.0012, 0.014), 0.2), ((-0.02, -0.0012, 0.014), 0.3)), (0.077, -0.0012, 0.013), 1, 0.0368),
)
COMPARTMENT_X = {"left": -0.0395, "right": 0.0415}
"""Their middles, x in the caddy's frame."""
INTO_CADDY = 0.05
"""Metres above the caddy's origin at which the end is let go."""
INTO_CUP = 0.05


def pen(pilot: Pilot) -> None:
    def goals(hold: Hold, pose: np.ndarray) -> list[Goal]:
        target = pilot.pose("container")[:3, 3] + [0, 0, INTO_CUP]
        return hold.goals(pose, target, (0, 12, 22), [number * math.pi / 12 for number in range(24)])

    _hang(pilot, "pen", "container", PEN, goals)


def screwdriver(pilot: Pilot, compartment: str = "right") -> None:
    _tool(pilot, "screwdriver", SCREWDRIVER, compartment, [number * math.pi / 8 for number in range(16)])


def can_opener(pilot: Pilot, compartment: str = "left") -> None:
    headings = [half + aside for half in (0.0, math.pi) for aside in (0.0, 0.15, -0.15)]
    _tool(pilot, "can_opener", CAN_OPENER, compartment, headings)


def _tool(pilot: Pilot, name: str, holds: tuple[Hold, ...], compartment: str, headings: list[float]) -> None:
    def goals(hold: Hold, pose: np.ndarray) -> list[Goal]:
        caddy = pilot.pose("caddy")
        yaw = math.atan2(caddy[1, 0], caddy[0, 0])
        found = []
        for aside in (0.0, 0.03, -0.03):
            inside = np.array([COMPARTMENT_X[compartment], aside, INTO_CADDY])
            target = caddy[:3, :3] @ inside + caddy[:3, 3]
            ways = hold.goals(pose, target, (0, 15, 30), [one + yaw for one in headings])
            found += [goal._replace(cost=goal.cost + 5 * abs(aside)) for goal in ways]
        return found

    _hang(pilot, name, "caddy", holds, goals)


def _hang(pilot: Pilot, name: str, receptacle: str, holds: tuple[Hold, ...], goals: GoalsOf) -> None:
    def ways() -> list[Way]:
        return [(Planner(pilot, name, hold.grasps, above=0.09), partial(goals, hold)) for hold in holds]

    bring(ways, pilot, name, receptacle)
