"""Motions of the two arms, step by step: joint by joint, straight, closing a gripper, waiting."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np

from envs.aloha.control import SPECS
from envs.aloha.experts.collisions import Scratch
from envs.aloha.experts.forces import Servo
from envs.aloha.experts.kinematics import follow, forward
from envs.aloha.experts.transforms import inverse, on_the_way, transform, turn_between
from envs.aloha.experts.variety import Style
from envs.aloha.options import BY_JOINTS
from envs.aloha.places import (
    ARM_QPOS,
    ARMS,
    CTRL_CLOSED,
    FINGER_QPOS,
    HOME,
    ROBOT_QPOS,
    STEP,
    ctrl_to_gripper,
)

JOINT_SPEED = 1.6
"""Radians a second, of the fastest joint."""
TOOL_SPEED, TURN_SPEED = 0.22, 1.8
"""Metres and radians a second, on straight ways."""
LARGEST_STEP = 2.6 * STEP
"""Radians a joint moves in one step; where a straight way asks for more the tool waits for it."""
INTEGRAL, MOST_INTEGRAL = 0.06, 0.06
"""Of the remaining error, while an arm stands: a share each step, radians at most."""


class Over(Exception):
    """The episode has as many steps as it may, or goes on for long enough after success."""


class GaveUp(Exception):
    """The expert sees no way."""


class Pilot:
    """env: reset already. on_step: told each action's label before it is played. most: steps of an episode, after:
    steps that follow the first success.

    joints: (6,) of each arm, where they shall be. fingers: metres from the middle that each gripper is commanded to.
    first_success: the number of the first action after which the task was done.
    """

    def __init__(
        self,
        env: Any,
        servo: Servo,
        style: Style,
        on_step: Callable[[np.ndarray], None],
        most: int,
        after: int,
    ) -> None:
        self.env, self.world, self.style = env, env.world, style
        self.scratch = Scratch(env.world)
        self.joints = {arm: HOME.copy() for arm in ARMS}
        self.fingers = dict.fromkeys(ARMS, CTRL_CLOSED)
        self.steps, self.first_success = 0, None
        self.done: list[bool] = []
        self.log: list[str] = []
        self._speed = {arm: np.zeros(6) for arm in ARMS}
        self._integral = {arm: np.zeros(6) for arm in ARMS}
        self._servo, self._on_step, self._most, self._after = servo, on_step, most, after

    first_success: int | None

    def pose(self, name: str) -> np.ndarray:
        """world_from_object (4, 4)."""
        place, turn = self.world.pose(name)
        return transform(turn, place)

    def measured(self, arm: str) -> np.ndarray:
        return self.world.data.qpos[ARM_QPOS[arm]].copy()

    def error(self, arm: str) -> np.ndarray:
        """(6,) how far the joints are from where they shall be, but for what noise does to them."""
        felt = self.style.felt[:6] if arm == ARMS[0] else self.style.felt[7:13]
        return self.joints[arm] - (self.measured(arm) - felt)

    def opening(self, arm: str) -> float:
        """Metres that the fingers of a gripper really are from the middle."""
        return float(self.world.data.qpos[FINGER_QPOS[arm]].mean())

    def in_hand(self, arm: str, name: str) -> np.ndarray:
        """tool_from_object (4, 4), as measured."""
        return inverse(forward(arm, self.measured(arm))) @ self.pose(name)

    def tick(self) -> None:
        """One step towards `joints` and `fingers`. Raises `Over`."""
        done = self.first_success is not None and self.steps > self.first_success + self._after
        if done or self.steps >= self._most:
            raise Over
        label = self._action()
        action = self.env.asking_for(label)
        self._on_step(action)
        if not self.env.advance(self.env.asked_by(action) + self.style.disturbance()):
            self.done.append(False)
            raise GaveUp("the physics became unstable")
        self.done.append(self.env.succeeded())
        if self.done[-1] and self.first_success is None:
            self.first_success = self.steps
        self.steps += 1

    def _action(self) -> np.ndarray:
        qpos, qvel = np.zeros(ROBOT_QPOS), np.zeros(ROBOT_QPOS)
        for arm in ARMS:
            qpos[ARM_QPOS[arm]], qvel[ARM_QPOS[arm]] = self.joints[arm], self._speed[arm]
            qpos[FINGER_QPOS[arm]] = self.world.data.qpos[FINGER_QPOS[arm]]
        lead = self._servo.lead(qpos, qvel)
        entries: list[float] = []
        for arm in ARMS:
            error = self.error(arm)
            if np.abs(self._speed[arm]).max() < 0.05:
                self._integral[arm] = np.clip(self._integral[arm] + INTEGRAL * error, -MOST_INTEGRAL, MOST_INTEGRAL)
            entries += [*(self.joints[arm] + lead[arm] + self._integral[arm]), ctrl_to_gripper(self.fingers[arm])]
        spec = SPECS[BY_JOINTS]
        return np.clip(np.array(entries), spec.low, spec.high).astype(np.float32)

    def wait(self, seconds: float) -> None:
        for arm in ARMS:
            self._speed[arm][:] = 0
        for _ in range(max(1, round(seconds / STEP))):
            self.tick()

    def arrive(self, arm: str, close: float = 0.012, seconds: float = 0.4) -> None:
        """Wait until the joints are there, at most so long."""
        self._speed[arm][:] = 0
        for _ in range(round(seconds / STEP)):
            if np.abs(self.error(arm)).max() < close:
                break
            self.tick()

    def move(self, arm: str, target: np.ndarray, arrive: bool = True) -> None:
        """All joints to `target` (6,) at once, starting and ending smoothly."""
        start, way = self.joints[arm].copy(), target - self.joints[arm]
        seconds = max(0.2, 1.6 * float(np.abs(way).max()) / (JOINT_SPEED * self.style.pace))
        count = math.ceil(seconds / STEP)
        for number in range(1, count + 1):
            s = number / count
            self.joints[arm] = start + (10 * s**3 - 15 * s**4 + 6 * s**5) * way  # least jerk
            self._speed[arm] = (30 * s**2 - 60 * s**3 + 30 * s**4) / seconds * way
            self.tick()
        self._speed[arm][:] = 0
        if arrive:
            self.arrive(arm)

    def straight(
        self, arm: str, target: np.ndarray, speed: float = 1.0, must: bool = True, arrive: bool = True
    ) -> None:
        """The tool straight to world_from_tool (4, 4). must: where the arm cannot it raises `GaveUp`, else it stops."""
        start = forward(arm, self.joints[arm])
        pace = speed * self.style.pace
        way = float(np.linalg.norm(target[:3, 3] - start[:3, 3])) / (TOOL_SPEED * pace)
        turn = float(np.linalg.norm(turn_between(start, target))) / (TURN_SPEED * pace)
        count = math.ceil(max(0.16, 1.5 * max(way, turn)) / STEP)
        for number in range(1, count + 1):
            s = number / count
            joints = follow(arm, on_the_way(start, target, 3 * s * s - 2 * s**3), self.joints[arm])
            change = None if joints is None else joints - self.joints[arm]
            parts = 0 if change is None else max(1, math.ceil(float(np.abs(change).max()) / LARGEST_STEP))
            if change is None or parts > 60:
                if must:
                    raise GaveUp("a straight way leads out of the arm's reach")
                break
            for _ in range(parts):
                self._speed[arm] = change / (parts * STEP)
                self.joints[arm] = self.joints[arm] + change / parts
                self.tick()
        self._speed[arm][:] = 0
        if arrive:
            self.arrive(arm)

    def grip(self, arm: str, metres: float, seconds: float = 0.35) -> None:
        """Command the fingers to so far from the middle, over 60 % of the time; 0.002 presses, 0.037 is open."""
        start, count = self.fingers[arm], max(1, int(seconds / STEP))
        ramp = max(1, int(count * 0.6))
        for number in range(count):
            self.fingers[arm] = start + (metres - start) * min(1.0, (number + 1) / ramp)
            self.tick()

    def go(self, arm: str, target: np.ndarray, fingers: float, held: tuple[str, np.ndarray] | None = None) -> None:
        """Joint by joint to `target`, over another way if the direct one would touch something.

        held: an object in the hand and its tool_from_object.
        """
        start = self.joints[arm]
        ignore = () if held is None else (held[0],)
        for path in _ways(start, target):
            points = [start, *path]
            legs = pairwise(points)
            if not any(self.scratch.way_touches(arm, a, b, fingers, held, ignore) for a, b in legs):
                break
        else:
            path = [target]
            self.log.append("no free way")
        for number, joints in enumerate(path):
            self.move(arm, joints, arrive=number == len(path) - 1)

    def home(self, arm: str) -> None:
        """Up, then home, with the gripper closed."""
        up = forward(arm, self.joints[arm])
        up[2, 3] += 0.06
        self.straight(arm, up, must=False, arrive=False)
        self.fingers[arm] = CTRL_CLOSED
        self.go(arm, HOME.copy(), 0.01)


def _ways(start: np.ndarray, end: np.ndarray) -> list[list[np.ndarray]]:
    """The direct way, then ways over raised arms, then over home's height with the waist of either end."""

    def raised(joints: np.ndarray) -> np.ndarray:
        return np.r_[joints[0], max(joints[1] - 0.35, -1.84), joints[2:]]

    def withdrawn(joints: np.ndarray) -> np.ndarray:
        return np.r_[joints[0], HOME[1:3], joints[3:]]

    def home_at(joints: np.ndarray) -> np.ndarray:
        return np.r_[joints[0], HOME[1:]]

    return [
        [end],
        [raised(end), end],
        [raised(start), raised(end), end],
        [withdrawn(end), end],
        [withdrawn(start), withdrawn(end), end],
        [home_at(end), end],
        [home_at(start), home_at(end), end],
    ]
