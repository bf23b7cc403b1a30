"""What the arms would touch if they, and an object in a hand, were elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import mujoco
import numpy as np

from envs.aloha.experts.kinematics import forward
from envs.aloha.places import ARM_QPOS, FINGER_QPOS
from envs.aloha.world import World

Held = tuple[str, np.ndarray]
"""An object and its world_from_object."""


class Scratch:
    """A second configuration of a world, looked at and never stepped."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._data = mujoco.MjData(world.model)
        names = [world.model.body(number).name for number in range(world.model.nbody)]
        sides = [name.split("/")[0] if name.startswith(("left/", "right/")) else "" for name in names]
        self._side = [sides[body] for body in world.model.geom_bodyid]
        self._affinity = world.model.geom_conaffinity.copy()
        robot = np.array([bool(side) for side in self._side])
        self._only_robot = np.where(robot, self._affinity, 0)

    def touched(
        self,
        joints: Mapping[str, np.ndarray],
        fingers: Mapping[str, float] | None = None,
        held: Held | None = None,
        ignore: tuple[str, ...] = (),
        depth: float = 0.001,
    ) -> bool:
        """Whether an arm, or the held object, overlaps anything else by more than `depth` metres.

        joints: of the arms that are elsewhere. fingers: metres from the middle. ignore: objects that may be touched.
        The arm that holds an object may touch it.
        """
        world, data = self._world, self._data
        data.qpos[:] = world.data.qpos
        for arm, q in joints.items():
            data.qpos[ARM_QPOS[arm]] = q
        for arm, metres in (fingers or {}).items():
            data.qpos[FINGER_QPOS[arm]] = metres
        affinity = self._only_robot  # objects among each other are of no interest, and most of the work
        own: frozenset[int] = frozenset()
        if held is not None:
            world.put(data, *held)
            own = world.geoms[held[0]]
            affinity = affinity.copy()
            affinity[list(own)] = self._affinity[list(own)]
        world.model.geom_conaffinity[:] = affinity
        try:
            mujoco.mj_kinematics(world.model, data)
            mujoco.mj_collision(world.model, data)
        finally:
            world.model.geom_conaffinity[:] = self._affinity
        ignored = frozenset[int]().union(*(world.geoms[name] for name in ignore)) if ignore else frozenset[int]()
        return any(self._counts(contact, own, ignored, depth) for contact in self._contacts())

    def _contacts(self) -> Any:
        contact = self._data.contact
        return zip(contact.geom1.tolist(), contact.geom2.tolist(), contact.dist.tolist(), strict=True)

    def _counts(
        self, contact: tuple[int, int, float], own: frozenset[int], ignored: frozenset[int], depth: float
    ) -> bool:
        first, second, distance = contact
        if distance > -depth or first in ignored or second in ignored:
            return False
        sides = self._side[first], self._side[second]
        if sides[0] and sides[0] == sides[1]:
            return False
        holds = first in own or second in own
        return not holds if any(sides) else holds

    def way_touches(
        self,
        arm: str,
        start: np.ndarray,
        end: np.ndarray,
        fingers: float,
        held: tuple[str, np.ndarray] | None = None,
        ignore: tuple[str, ...] = (),
        points: int = 6,
    ) -> bool:
        """On the way between two configurations, joint by joint. held: an object and its tool_from_object."""
        for share in np.linspace(0, 1, points + 1)[1:]:
            joints = start + share * (end - start)
            there = None if held is None else (held[0], forward(arm, joints) @ held[1])
            if self.touched({arm: joints}, {arm: fingers}, there, ignore):
                return True
        return False
