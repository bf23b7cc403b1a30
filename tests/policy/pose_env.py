"""A simulator whose action has parts: a hand is moved to a pose and closed. It refuses what is no rotation."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from envs.action_parts import ActionPart
from envs.base import Step
from envs.spec import ActionSpec, FieldSpec, Observation, ObservationRequest
from tests.toy_env import Toy


class Pose(Toy):
    """The expert says one rotation now by q and now by -q, as planners do."""

    name: ClassVar[str] = "pose"
    version: ClassVar[str] = "pose==1"
    tasks: ClassVar[tuple[str, ...]] = ("near",)
    provides: ClassVar[frozenset[str]] = frozenset({"proprio", "ground_truth"})
    proprio_names: ClassVar[tuple[str, ...]] = ("x", "y", "z", "gripper")
    action_spec: ClassVar[ActionSpec] = ActionSpec(
        ("dx", "dy", "dz", "qx", "qy", "qz", "qw", "grip"),
        (-1.0,) * 8,
        (1.0,) * 8,
        "dx, dy, dz: 1 = 5 cm a step",
        (
            ActionPart("position", 0, 3, "delta", "5 cm", "robot"),
            ActionPart("rotation", 3, 7, "quaternion", "", "robot"),
            ActionPart("gripper", 7, 8, "gripper"),
        ),
    )

    @classmethod
    def specs(cls, request: ObservationRequest) -> dict[str, FieldSpec]:
        table = {
            "proprio": FieldSpec("proprio", (4,), "float32", "m", "robot"),
            "ground_truth": FieldSpec("ground_truth", (10,), "float32", "m", "robot"),
        }
        return {name: table[name] for name in request.fields}

    def reset(self, seed: int) -> Observation:
        draw = np.random.default_rng(seed)
        self.seed, self.steps = seed, 0
        self.at, self.goal = draw.uniform(-0.2, 0.2, 3), draw.uniform(-0.2, 0.2, 3)
        turn = np.append(draw.uniform(-0.7, 0.7, 3), 1.0)
        self.turn, self.now, self.grip = turn / np.linalg.norm(turn), np.array([0, 0, 0, 1.0]), 0.0
        return self.observe()

    def step(self, action: np.ndarray) -> Step:
        action = self.action_spec.check(action)
        if abs(np.linalg.norm(action[3:7]) - 1) > 1e-4:
            raise ValueError(f"a rotation has length 1, not {np.linalg.norm(action[3:7])}")
        self.at = self.at + 0.05 * np.clip(action[:3], -1, 1).astype(np.float64)
        self.now, self.grip = action[3:7].astype(np.float64), float(action[7])
        self.steps += 1
        near = bool(np.linalg.norm(self.at - self.goal) < 0.08)
        return Step(self.observe(), 0.0, near and bool(abs(self.now @ self.turn) > 0.97) and self.grip > 0)

    def observe(self) -> Observation:
        fields = {
            "proprio": np.append(self.at, self.grip).astype(np.float32),
            "ground_truth": np.hstack([self.at, self.goal, self.turn]).astype(np.float32),
        }
        return {name: fields[name] for name in self._specs}

    def state(self) -> np.ndarray:
        return np.hstack([self.at, self.goal, self.turn, self.now, self.grip, self.steps])

    def set_state(self, state: np.ndarray) -> None:
        self.at, self.goal, self.turn, self.now = state[:3], state[3:6], state[6:10], state[10:14]
        self.grip, self.steps = float(state[14]), int(state[15])

    def expert_action(self) -> np.ndarray:
        side = 1 if (self.seed + self.steps) % 2 else -1
        move = np.clip((self.goal - self.at) / 0.05, -1, 1)
        return np.hstack([move, side * self.turn, 1.0]).astype(np.float32)

    def fingerprint(self) -> str:
        return "pose==1, no renderer"
