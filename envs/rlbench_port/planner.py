"""From a pose of the fingertips to a path of joints: along a straight line if that can be, else by joints alone."""

from __future__ import annotations

import math

import mujoco
import numpy as np

from envs.rlbench_port import arm
from envs.rotations import between, canonical, from_matrix, inverse, multiply, rotation_vector

LINE = 50
"""Points of a straight line."""
LEAP = 0.35
"""Radians that a joint may turn from one point of a line to the next: more is another branch of solutions."""
TRIES = 60
"""Random postures from which a solution is looked for where there is no line."""
CLOSE = (5e-4, 2e-3)
"""Metres and radians: what counts as the pose."""
SPEED, ACCELERATION = 1.0, 4.0
"""Along a path in the space of joints: rad/s, rad/s^2."""
DECIMALS = 7
"""Digits of a joint's angle, radians, that a solution keeps. numpy's linear algebra has other kernels for other CPUs,
which differ in the last bits; rounded, a seed names the same episode on all of them. The tip is off by under 1 um."""


class Planner:
    """Inverse kinematics of the arm by damped least squares. It keeps no state: equal questions have equal answers."""

    def __init__(self) -> None:
        self._model = mujoco.MjModel.from_xml_string(
            f'<mujoco><compiler angle="radian"/><default>{arm.arm_defaults()}</default>'
            f"<worldbody>{arm.arm_bodies()}</worldbody></mujoco>"
        )
        self._data = mujoco.MjData(self._model)
        self._tip = self._model.site("tip").id
        self._jacobian = np.zeros((6, self._model.nv))

    def pose(self, joints: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The tip's place (3,), metres, and quaternion x, y, z, w (4,) with joints (7,), robot frame."""
        self._data.qpos[: arm.JOINTS] = joints
        mujoco.mj_kinematics(self._model, self._data)
        return self._data.site_xpos[self._tip].copy(), from_matrix(self._data.site_xmat[self._tip].reshape(3, 3))

    def path(self, joints: np.ndarray, place: np.ndarray, rotation: np.ndarray) -> np.ndarray | None:
        """Joints (n, 7) from `joints` (7,) to where the tip has this pose; None if no way was found."""
        found = self._line(joints, place, rotation)
        return self._by_joints(joints, place, rotation) if found is None else found

    def reachable(self, joints: np.ndarray, place: np.ndarray, rotation: np.ndarray) -> np.ndarray | None:
        """The joints (7,) at the end of a straight line from `joints` (7,); None if there is none. Of fewer points than
        a path, for those who only ask."""
        line = self._line(joints, place, rotation, LINE // 3)
        return None if line is None else line[-1]

    def _line(
        self, joints: np.ndarray, place: np.ndarray, rotation: np.ndarray, count: int = LINE
    ) -> np.ndarray | None:
        start, turned = self.pose(joints)
        points = [joints]
        for share in np.linspace(0, 1, count + 1)[1:]:
            target = start + share * (place - start)
            found = self._solve(points[-1], target, between(turned, rotation, share), 25)
            if found is None or abs(found - points[-1]).max() > LEAP * LINE / count:
                return None
            points.append(found)
        return np.stack(points)

    def _by_joints(self, joints: np.ndarray, place: np.ndarray, rotation: np.ndarray) -> np.ndarray | None:
        draw = np.random.default_rng(0)
        starts = [joints, *draw.uniform(arm.LOW, arm.HIGH, (TRIES - 1, arm.JOINTS))]
        solved = [one for start in starts if (one := self._solve(start, place, rotation, 40)) is not None]
        if not solved:
            return None
        nearest = min(solved, key=lambda one: float(np.linalg.norm(one - joints)))
        return np.stack([joints, nearest])

    def _solve(self, joints: np.ndarray, place: np.ndarray, rotation: np.ndarray, most: int) -> np.ndarray | None:
        """Within the joints' limits, in at most so many iterations."""
        q = joints.copy()
        error = np.empty(6)
        for _ in range(most):
            at, turned = self.pose(q)
            error[:3] = place - at
            error[3:] = rotation_vector(canonical(multiply(rotation, inverse(turned))))
            if np.linalg.norm(error[:3]) < CLOSE[0] and np.linalg.norm(error[3:]) < CLOSE[1]:
                return np.round(q, DECIMALS)
            mujoco.mj_comPos(self._model, self._data)
            mujoco.mj_jacSite(self._model, self._data, self._jacobian[:3], self._jacobian[3:], self._tip)
            jacobian = self._jacobian[:, : arm.JOINTS]
            damped = jacobian @ jacobian.T
            damped[np.diag_indices(6)] += 1e-4 + 1e-2 * min(1.0, float(error @ error))
            step = jacobian.T @ np.linalg.solve(damped, error)
            largest = abs(step).max()
            q = np.clip(q + step * min(1.0, 0.3 / largest), arm.LOW, arm.HIGH)
        return None


def timed(path: np.ndarray, period: float) -> np.ndarray:
    """Joints (m, 7), one row for each `period` seconds, along a path (n, 7): speed rises and falls evenly, its last row
    is the path's end."""
    lengths = np.concatenate([[0.0], np.linalg.norm(np.diff(path, axis=0), axis=1).cumsum()])
    total = float(lengths[-1])
    if total < 1e-9:
        return path[-1:]
    rise = min(SPEED / ACCELERATION, math.sqrt(total / ACCELERATION))
    top = rise * ACCELERATION
    duration = total / top + rise
    moments = np.minimum(np.arange(1, math.ceil(duration / period - 1e-9) + 1) * period, duration)
    early = 0.5 * ACCELERATION * np.minimum(moments, rise) ** 2
    even = top * np.clip(moments - rise, 0, duration - 2 * rise)
    late = np.clip(moments - (duration - rise), 0, rise)
    travelled = early + even + top * late - 0.5 * ACCELERATION * late**2
    travelled[-1] = total
    return np.stack([np.interp(travelled, lengths, path[:, joint]) for joint in range(path.shape[1])], axis=1)
