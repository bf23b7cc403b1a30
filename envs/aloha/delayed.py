"""What an observation shows of a world whose sensors are late by some steps."""

from __future__ import annotations

from collections import deque
from typing import Any

import mujoco
import numpy as np

from envs.aloha.experts.kinematics import TOOL
from envs.aloha.experts.transforms import transform
from envs.aloha.places import ARMS
from envs.aloha.world import World


class Delayed:
    """The last configurations of a world; before an episode's beginning it stood as at the beginning.

    seen: the `mujoco.MjData` that cameras look at: the world's own where images are not late. size: of `state`.
    """

    def __init__(self, world: World, image_steps: int, joint_steps: int) -> None:
        self._world, self._image, self._joint = world, image_steps, joint_steps
        self._past: deque[np.ndarray] = deque(maxlen=max(image_steps, joint_steps) + 1)
        self.seen: Any = mujoco.MjData(world.model) if image_steps else world.data
        self.size = (len(world.data.qpos) * max(image_steps, joint_steps)) if image_steps or joint_steps else 0

    def begin(self) -> None:
        for _ in range(self._past.maxlen or 1):
            self._past.append(self._world.data.qpos.copy())
        self._show()

    def add(self) -> None:
        """The world has gone on by one step."""
        if self.size:
            self._past.append(self._world.data.qpos.copy())
            self._show()

    @property
    def joints(self) -> np.ndarray:
        """The configuration (nq,) that proprio tells of."""
        return self._world.data.qpos if not self._joint else self._past[-1 - self._joint]

    def hands(self) -> dict[str, np.ndarray]:
        """world_from_tool (4, 4) of the grippers that cameras see, by the names of the virtual cameras on them."""
        found = {}
        for arm in ARMS:
            site = self.seen.site(f"{arm}/gripper")
            found[f"wrist-{arm}"] = transform(site.xmat.reshape(3, 3), site.xpos) @ TOOL
        return found

    def state(self) -> np.ndarray:
        """(size,): past configurations, the oldest first, without the present one."""
        return np.concatenate(list(self._past)[:-1]) if self.size else np.zeros(0)

    def set_state(self, state: np.ndarray) -> None:
        """After the world's own state was set."""
        if self.size:
            self._past.extend([*state.reshape(-1, len(self._world.data.qpos)), self._world.data.qpos.copy()])
            self._show()

    def _show(self) -> None:
        if self._image:
            self.seen.qpos[:] = self._past[-1 - self._image]
            mujoco.mj_kinematics(self._world.model, self.seen)
            mujoco.mj_camlight(self._world.model, self.seen)
