"""When a task is done, asked of the physics every 50 ms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from envs.rlbench_port.motion import Robot
from envs.rotations import canonical, from_matrix, to_matrix

HINGE = "hinge"
"""The joint of what is opened and shut: 0 is closed, its angle grows as it is opened."""


class Goal(Protocol):
    """Of one episode. It keeps nothing: all that it knows is in the physics' state."""

    def begin(self, robot: Robot) -> None:
        """Put what moves where it begins."""
        ...

    def done(self, robot: Robot) -> bool:
        """Whether the task is done at this moment."""
        ...

    def watch(self, robot: Robot) -> bool:
        """Asked every 50 ms of a motion: lets happen what the arm has brought about, and says whether it is done."""
        ...

    def truth(self, robot: Robot) -> np.ndarray:
        """(9,) of what a policy cannot see on a robot: the object's place 3, its rotation 4, and two of its own."""
        ...


@dataclass(frozen=True)
class Shut:
    """A hinge is closed. place, yaw: of what it is fixed to. opening: radians, where it begins; closed: at and below
    which it is done. Its two numbers: the hinge's angle, and where that began."""

    place: np.ndarray
    yaw: float
    opening: float
    closed: float

    def begin(self, robot: Robot) -> None:
        robot.put(HINGE, np.array([self.opening]))

    def done(self, robot: Robot) -> bool:
        return bool(robot.where(HINGE)[0] <= self.closed)

    def watch(self, robot: Robot) -> bool:
        return self.done(robot)

    def truth(self, robot: Robot) -> np.ndarray:
        turned = canonical(np.array([0.0, 0.0, np.sin(self.yaw / 2), np.cos(self.yaw / 2)]))
        return np.array([*self.place, *turned, robot.where(HINGE)[0], self.opening])


@dataclass(frozen=True)
class Pour:
    """Drops have fallen from a can's spout into a pot.

    can: its place (3,) and yaw at the beginning. head: the spout's end in the can's frame, which looks along x. pot:
    the middle of its rim (3,); radius: inside. Once the spout's end is over the pot and looks down, all drops are put
    there, and fall; done is when all are in the pot at once. Its two numbers: the pot's x and y.
    """

    can: np.ndarray
    yaw: float
    head: np.ndarray
    pot: np.ndarray
    radius: float

    def begin(self, robot: Robot) -> None:
        robot.put("can", np.array([*self.can, np.cos(self.yaw / 2), 0.0, 0.0, np.sin(self.yaw / 2)]))
        for number in range(DROPS):
            robot.put(f"drop{number}", np.array([*self._parked(number), 1.0, 0.0, 0.0, 0.0]))

    def done(self, robot: Robot) -> bool:
        drops = self._drops(robot)
        inside = np.hypot(*(drops[:, :2] - self.pot[:2]).T) < self.radius
        return bool((inside & (drops[:, 2] < self.pot[2]) & (drops[:, 2] > 0)).all())

    def watch(self, robot: Robot) -> bool:
        if (self._drops(robot)[:, 2] < PARK[2] + DROP).all():
            self._pour(robot)
        return self.done(robot)

    def truth(self, robot: Robot) -> np.ndarray:
        place, turned = self._can(robot)
        return np.array([*place, *from_matrix(turned), *self.pot[:2]])

    @staticmethod
    def _drops(robot: Robot) -> np.ndarray:
        return np.stack([robot.where(f"drop{number}")[:3] for number in range(DROPS)])

    def _can(self, robot: Robot) -> tuple[np.ndarray, np.ndarray]:
        pose = robot.where("can")
        return pose[:3], to_matrix(np.array([*pose[4:], pose[3]]))

    def _pour(self, robot: Robot) -> None:
        place, turned = self._can(robot)
        head, down = place + turned @ self.head, -float(turned[2, 0])
        over = np.hypot(*(head - self.pot)[:2]) < self.radius and 0.0 < head[2] - self.pot[2] < OVER
        if not (over and down > DOWN):
            return
        for number, (x, y, z) in enumerate(CLUSTER):
            robot.put(f"drop{number}", np.array([head[0] + x, head[1] + y, head[2] - 0.012 + z, 1.0, 0.0, 0.0, 0.0]))

    @staticmethod
    def _parked(number: int) -> np.ndarray:
        return np.array([PARK[0] + 0.03 * number, PARK[1], PARK[2] + DROP / 2])


DROPS, DROP = 5, 0.005
"""Cubes that stand for water, and their edges, metres (RLBench's: five of 5 mm)."""
PARK = (0.3, 0.0, -0.4)
"""The shelf under the table where they wait: the middle of its top, of which the first is a little to one side."""
OVER, DOWN = 0.15, 0.35
"""How high over the rim the spout's end may be, metres, and how far it looks down, as the sine of its angle."""
CLUSTER = ((0, 0, 0), (0.007, 0, -0.001), (-0.007, 0, -0.002), (0, 0.007, -0.003), (0, -0.007, -0.004))
