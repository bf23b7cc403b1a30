"""The arm in the physics: it follows paths, opens and closes its gripper, and says where it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mujoco
import numpy as np

from envs.rlbench_port import arm
from envs.rlbench_port.places import TIMESTEP
from envs.rlbench_port.planner import DECIMALS, timed
from envs.rotations import from_matrix, nearer

SUBSTEPS = 5
PERIOD = SUBSTEPS * TIMESTEP
"""Seconds between two targets of the servos: 10 ms."""
TICK = 5
"""Periods after which it is asked whether to stop: 50 ms, RLBench's control step."""
SETTLE = 4
"""Ticks at most in which the arm comes to rest after a path."""
REST = 0.02
"""rad/s: slower is at rest."""
GRIP = (4, 10)
"""Ticks at least and at most that a gripper takes."""
START = 4
"""Ticks of physics before an episode's first observation."""


class Broken(RuntimeError):
    """The physics has left the numbers that it can compute with."""


class Robot:
    """The robot in one model, with its `data`. Joints are the model's first."""

    def __init__(self, model: Any) -> None:
        self.model, self.data = model, mujoco.MjData(model)
        self.start = arm.HOME
        self.engine = f"mujoco=={mujoco.__version__}"
        self._tip = model.site("tip").id
        self._fingers = [int(model.joint(f"finger{number}").qposadr[0]) for number in (1, 2)]
        self._spans: dict[str, tuple[int, int]] = {}
        self._kind = mujoco.mjtState.mjSTATE_INTEGRATION
        self.state_size = mujoco.mj_stateSize(model, self._kind)
        self.data.qpos[: arm.JOINTS] = arm.HOME
        mujoco.mj_kinematics(model, self.data)
        self._home = self.tip()[1]

    def home(self, begin: Callable[[Robot], None]) -> None:
        """The beginning of an episode: the arm at rest, the gripper open, and what `begin` puts in its place."""
        mujoco.mj_resetData(self.model, self.data)
        self.data.qpos[: arm.JOINTS] = self.data.ctrl[: arm.JOINTS] = arm.HOME
        self.data.qpos[self._fingers] = self.data.ctrl[arm.JOINTS :] = arm.OPEN
        begin(self)
        for _ in range(START):
            self._tick()
        self._settled()

    def follow(self, path: np.ndarray, until: Callable[[], bool]) -> None:
        """Along a path (n, 7) from where the arm is, and on until it is at rest. Ends early where `until` says so."""
        targets = timed(path, PERIOD)
        for first in range(0, len(targets), TICK):
            for target in targets[first : first + TICK]:
                self.data.ctrl[: arm.JOINTS] = target
                mujoco.mj_step(self.model, self.data, SUBSTEPS)
            if until():
                break
        for _ in range(SETTLE):
            if abs(self.data.qvel[: arm.JOINTS]).max() < REST or until():
                break
            self._tick()
        self._settled()

    def grip(self, opens: bool, until: Callable[[], bool]) -> None:
        """Nothing where the gripper was told so before."""
        target = arm.OPEN if opens else 0.0
        if np.all(self.data.ctrl[arm.JOINTS :] == target):
            return
        self.data.ctrl[arm.JOINTS :] = target
        for tick in range(GRIP[1]):
            self._tick()
            still = abs(self.data.qvel[self._fingers]).max() < 1e-3
            if until() or (still and tick + 1 >= GRIP[0]):
                break
        self._settled()

    def joints(self) -> np.ndarray:
        """(7,) radians."""
        return self.data.qpos[: arm.JOINTS].copy()

    def tip(self) -> tuple[np.ndarray, np.ndarray]:
        """The fingertips' place (3,), metres, and rotation x, y, z, w with w >= 0, robot frame."""
        return self.data.site_xpos[self._tip].copy(), from_matrix(self.data.site_xmat[self._tip].reshape(3, 3))

    def robot_from_tip(self) -> np.ndarray:
        """(4, 4)."""
        found = np.eye(4)
        found[:3, :3] = self.data.site_xmat[self._tip].reshape(3, 3)
        found[:3, 3] = self.data.site_xpos[self._tip]
        return found

    def where(self, joint: str) -> np.ndarray:
        """A joint's position: (1,) radians of a hinge; of a free body x, y, z, metres, and rotation w, x, y, z."""
        start, stop = self._span(joint)
        return self.data.qpos[start:stop].copy()

    def put(self, joint: str, position: np.ndarray) -> None:
        """As `where`; at rest. Rounded as the planner's solutions are, and for the same reason."""
        start, stop = self._span(joint)
        self.data.qpos[start:stop] = np.round(position, DECIMALS)
        first = int(self.model.joint(joint).dofadr[0])
        self.data.qvel[first : first + (6 if stop - start == 7 else 1)] = 0

    def _span(self, joint: str) -> tuple[int, int]:
        if joint not in self._spans:
            found = self.model.joint(joint)
            self._spans[joint] = int(found.qposadr[0]), int(found.qposadr[0]) + len(found.qpos0)
        return self._spans[joint]

    def proprio(self) -> np.ndarray:
        """(15,) float32, as `RLBenchPort` says."""
        place, rotation = self.tip()
        opened = float(self.data.qpos[self._fingers].min() > 0.9 * arm.OPEN)
        return np.array([*self.joints(), *place, *nearer(rotation, self._home), opened], np.float32)

    def state(self) -> np.ndarray:
        found = np.empty(self.state_size)
        mujoco.mj_getState(self.model, self.data, found, self._kind)
        return found

    def set_state(self, state: np.ndarray) -> None:
        mujoco.mj_setState(self.model, self.data, state, self._kind)
        mujoco.mj_forward(self.model, self.data)
        # computing forces has moved the solver's warm start, from which the next step would differ in its last bits
        mujoco.mj_setState(self.model, self.data, state, self._kind)

    def _tick(self) -> None:
        mujoco.mj_step(self.model, self.data, SUBSTEPS * TICK)

    def _settled(self) -> None:
        """Positions of everything at this moment; a step leaves those of the moment before."""
        if not (np.isfinite(self.data.qpos).all() and np.isfinite(self.data.qvel).all()):
            raise Broken("the physics diverged: its state is not finite")
        mujoco.mj_forward(self.model, self.data)
