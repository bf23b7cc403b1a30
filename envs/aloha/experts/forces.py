"""What a joint's target has to be beyond where the joint shall be, so that the servo holds and moves the arm there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mujoco
import numpy as np

from envs.aloha.places import ARM_CTRL, ARM_QPOS, ARMS
from envs.aloha.scene import robot_only

FULL_FRICTION_AT = 0.05
"""Radians a second: dry friction is taken to grow up to here, not to jump."""


class Servo:
    """The position servos of both arms: without this feed-forward an arm hangs a centimetre too low."""

    def __init__(self, assets: Path) -> None:
        self._model: Any = robot_only(assets)
        self._data = mujoco.MjData(self._model)
        self._gain = self._model.actuator_gainprm[:, 0].copy()

    def lead(self, qpos: np.ndarray, qvel: np.ndarray) -> dict[str, np.ndarray]:
        """For each arm (6,), radians: (gravity and inertial forces + damping + friction) / gain.

        qpos, qvel (16,): of both arms and their fingers, as wanted.
        """
        model, data = self._model, self._data
        data.qpos[:], data.qvel[:] = qpos, qvel
        mujoco.mj_fwdPosition(model, data)
        mujoco.mj_fwdVelocity(model, data)
        friction = model.dof_frictionloss * np.tanh(qvel / FULL_FRICTION_AT)
        force = data.qfrc_bias + model.dof_damping * qvel + friction
        return {arm: force[ARM_QPOS[arm]] / self._gain[ARM_CTRL[arm]] for arm in ARMS}
