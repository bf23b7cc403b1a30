"""The physics of one scene: the two arms are driven, and what success is made of is measured."""

from __future__ import annotations

from typing import Any

import mujoco
import numpy as np

from envs.aloha.boxes import Box, body_boxes
from envs.aloha.places import (
    ARM_CTRL,
    ARM_QPOS,
    ARMS,
    FINGER_QPOS,
    HOME_CTRL,
    HOME_QPOS,
    ROBOT_QPOS,
    SUBSTEPS,
    ctrl_to_gripper,
    gripper_to_ctrl,
    qpos_to_gripper,
)
from envs.aloha.props import SLIDES

STILL = 1e-3
"""Metres a second: an object that is slower along each axis does not move (aloha_sim)."""
SETTLED_ACCELERATION = 1e-2
_BROKEN = [int(kind) for kind in (mujoco.mjtWarning.mjWARN_BADQPOS, mujoco.mjtWarning.mjWARN_BADQVEL)]
_BROKEN.append(int(mujoco.mjtWarning.mjWARN_BADQACC))
_STATE = int(
    mujoco.mjtState.mjSTATE_QPOS
    | mujoco.mjtState.mjSTATE_QVEL
    | mujoco.mjtState.mjSTATE_CTRL
    | mujoco.mjtState.mjSTATE_WARMSTART
)


class World:
    """model: of `envs.aloha.scene.build`. data: its `mujoco.MjData`, always with positions and contacts of its state.

    names: of the objects, in their order in the model.
    """

    def __init__(self, model: Any, names: tuple[str, ...]) -> None:
        if mujoco.get_mju_user_warning() is None:  # else each is a file MUJOCO_LOG.TXT in the user's folder, too
            mujoco.set_mju_user_warning(lambda _: None)
        self.model, self.data, self.names = model, mujoco.MjData(model), names
        self._holder = {name: model.body(name).id for name in names}
        self.body = {name: number + 1 for name, number in self._holder.items()}
        """The body with an object's shapes, inside the one that is placed."""
        joint = {name: model.body_jntadr[number] for name, number in self._holder.items()}
        self._qpos = {name: model.jnt_qposadr[number] for name, number in joint.items()}
        self._qvel = {name: model.jnt_dofadr[number] for name, number in joint.items()}
        root = model.body_rootid
        self.geoms = {name: frozenset(_ints(root[model.geom_bodyid] == self._holder[name])) for name in names}
        self._boxes = {name: body_boxes(model, self.body[name]) for name in names}
        self.state_size = mujoco.mj_stateSize(model, _STATE)

    def clear(self) -> None:
        """Both arms at home; where the objects are is not said."""
        mujoco.mj_resetData(self.model, self.data)
        self.data.qpos[:ROBOT_QPOS] = [*HOME_QPOS, *HOME_QPOS]
        self.data.ctrl[:] = [*HOME_CTRL, *HOME_CTRL]

    def place(self, name: str, place: np.ndarray, yaw: float) -> None:
        """Put an object there, turned about the vertical. `refresh` must follow."""
        first = self._qpos[name]
        self.data.qpos[first : first + 3] = place
        self.data.qpos[first + 3 : first + 7] = [np.cos(yaw / 2), 0, 0, np.sin(yaw / 2)]

    def open(self, slides: np.ndarray) -> None:
        """Put the drawers so many metres (3,) open: top, middle, bottom. `refresh` must follow."""
        for name, metres in zip(SLIDES, slides, strict=True):
            self.data.joint(f"box/{name}").qpos[0] = metres

    def put(self, data: Any, name: str, pose: np.ndarray) -> None:
        """Write an object's world_from_object (4, 4) into the configuration of any data of this model."""
        first, body = self._qpos[name], self.body[name]
        turn = np.zeros(4)
        mujoco.mju_mat2Quat(turn, pose[:3, :3].ravel())  # the body lies unturned in what is placed
        data.qpos[first : first + 3] = pose[:3, 3] - pose[:3, :3] @ self.model.body_pos[body]
        data.qpos[first + 3 : first + 7] = turn

    def refresh(self) -> None:
        """Positions, contacts and velocities of a state that was set from outside."""
        mujoco.mj_step1(self.model, self.data)

    def settle(self, seconds: float) -> None:
        """Let the objects come to rest, at most so long, while the arms are held."""
        arms = self.data.qpos[:ROBOT_QPOS].copy()
        for _ in range(round(seconds / self.model.opt.timestep)):
            mujoco.mj_step(self.model, self.data)
            self.data.qpos[:ROBOT_QPOS], self.data.qvel[:ROBOT_QPOS] = arms, 0
            speed = np.abs(self.data.qvel[ROBOT_QPOS:]).max()
            if speed < STILL and np.abs(self.data.qacc[ROBOT_QPOS:]).max() < SETTLED_ACCELERATION:
                break
        self.data.time = 0.0
        self.refresh()

    def advance(self, action: np.ndarray) -> bool:
        """One control step (20 ms) towards the targets (14,): joints in radians, and the gripper's servo angle.

        False if the physics became unstable on the way, as where fingers are pressed through an object. MuJoCo then
        puts the whole scene back to where its model has it and would go on from there, which is another episode.
        """
        for kind in _BROKEN:
            self.data.warning[kind].number = 0
        for number, arm in enumerate(ARMS):
            first = 7 * number
            self.data.ctrl[ARM_CTRL[arm]] = action[first : first + 6]
            self.data.ctrl[first + 6] = gripper_to_ctrl(action[first + 6])
        for _ in range(SUBSTEPS):  # positions and contacts stay those of the state
            mujoco.mj_step2(self.model, self.data)
            mujoco.mj_step1(self.model, self.data)
            if any(self.data.warning[kind].number for kind in _BROKEN):
                return False
        return True

    def targets(self) -> np.ndarray:
        """(14,) float64 that the arms were last sent to, as `advance` takes them."""
        ctrl = self.data.ctrl
        found = [[*ctrl[ARM_CTRL[arm]], ctrl_to_gripper(ctrl[7 * n + 6])] for n, arm in enumerate(ARMS)]
        return np.concatenate(found)

    def proprio(self, qpos: np.ndarray | None = None) -> np.ndarray:
        """(14,) float32: left arm's joints 6, radians, and gripper, servo angle; then the right one's."""
        qpos = self.data.qpos if qpos is None else qpos
        found = [[*qpos[ARM_QPOS[arm]], qpos_to_gripper(qpos[FINGER_QPOS[arm].start])] for arm in ARMS]
        return np.concatenate(found).astype(np.float32)

    def pose(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """An object's place (3,) and rotation (3, 3), world frame."""
        body = self.body[name]
        return self.data.xpos[body].copy(), self.data.xmat[body].reshape(3, 3).copy()

    def quaternion(self, name: str) -> np.ndarray:
        """(4,) x, y, z, w of an object, with w >= 0."""
        w, x, y, z = self.data.xquat[self.body[name]]
        return np.array([x, y, z, w]) * (-1.0 if w < 0 else 1.0)

    def moving(self, names: tuple[str, ...]) -> bool:
        """Whether one of them moves along an axis by `STILL` or more; turning does not count (aloha_sim)."""
        speeds = [np.abs(self.data.qvel[self._qvel[name] : self._qvel[name] + 3]).max() for name in names]
        return bool(max(speeds) >= STILL)

    def touched_by(self, name: str) -> list[int]:
        """Shapes of others that an object touches."""
        own, found = self.geoms[name], []
        for first, second in zip(self.data.contact.geom1, self.data.contact.geom2, strict=True):
            if (first in own) != (second in own):
                found.append(int(second if first in own else first))
        return found

    def touch(self, name: str, other: str) -> bool:
        """Whether two objects touch each other."""
        return any(geom in self.geoms[other] for geom in self.touched_by(name))

    def centre(self, name: str) -> np.ndarray:
        """(3,) of an object's mass, world frame."""
        return self.data.xipos[self.body[name]].copy()

    def boxes(self, name: str) -> list[Box]:
        """An object's bounding boxes, world frame."""
        return [box.at(self.data) for box in self._boxes[name]]

    def slides(self) -> np.ndarray:
        """(3,) metres that the drawers are open: top, middle, bottom; zeros without the box."""
        if "box" not in self.names:
            return np.zeros(3)
        return np.array([self.data.joint(f"box/{name}").qpos[0] for name in SLIDES])

    def state(self) -> np.ndarray:
        """float64 (state_size,)."""
        found = np.zeros(self.state_size)
        mujoco.mj_getState(self.model, self.data, found, _STATE)
        return found

    def set_state(self, state: np.ndarray) -> None:
        mujoco.mj_setState(self.model, self.data, state, _STATE)
        self.refresh()


def _ints(flags: np.ndarray) -> list[int]:
    return [int(number) for number in np.flatnonzero(flags)]
