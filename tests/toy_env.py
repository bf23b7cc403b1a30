"""A simulator of twenty lines: a point moves to a goal. It lets the fast tests use real workers without GL."""

from __future__ import annotations

import os
from typing import ClassVar

import numpy as np

from envs.base import Step
from envs.errors import SpecMismatch
from envs.spec import ActionSpec, FieldSpec, Observation, ObservationRequest


class Toy:
    """Tasks: `near` and `far` differ in the goal's distance; `cursed` fails, dies or has no expert by its seed."""

    name: ClassVar[str] = "toy"
    version: ClassVar[str] = "toy==1"
    tasks: ClassVar[tuple[str, ...]] = ("near", "far", "cursed", "hopeless")
    cameras: ClassVar[tuple[str, ...]] = ("front",)
    provides: ClassVar[frozenset[str]] = frozenset({"proprio", "ground_truth", "points", "points_valid"})
    proprio_names: ClassVar[tuple[str, ...]] = ("x", "y")
    action_spec: ClassVar[ActionSpec] = ActionSpec(("dx", "dy"), (-1.0, -1.0), (1.0, 1.0), "1 = 2 cm a step")

    def __init__(self, task: str, request: ObservationRequest) -> None:
        self._specs = self.specs(request)
        self.task, self.request = task, request

    @classmethod
    def specs(cls, request: ObservationRequest) -> dict[str, FieldSpec]:
        missing = sorted(set(request.fields) - cls.provides)
        if missing:
            raise SpecMismatch(f"toy cannot give {missing}")
        table = {
            "proprio": FieldSpec("proprio", (2,), "float32", "m", "robot"),
            "ground_truth": FieldSpec("ground_truth", (4,), "float32", "m", "robot"),
            "points": FieldSpec("points", (request.num_points, 3), "float32", "m", "robot"),
            "points_valid": FieldSpec("points_valid", (request.num_points,), "bool", ""),
        }
        return {name: table[name] for name in request.fields}

    @classmethod
    def instruction(cls, task: str) -> str:
        return f"move to the {task} goal"

    def reset(self, seed: int) -> Observation:
        self.seed = seed
        draw = np.random.default_rng(seed)
        self.at = draw.uniform(-0.1, 0.1, 2)
        self.goal = draw.uniform(-1, 1, 2) * (0.3 if self.task == "near" else 1.0)
        if self.task == "cursed" and seed % 7 == 3:
            raise RuntimeError("this episode cannot be run")
        if self.task == "cursed" and seed % 7 == 5:
            os._exit(11)
        return self.observe()

    def step(self, action: np.ndarray) -> Step:
        action = self.action_spec.check(action)
        self.at = self.at + 0.02 * np.clip(action, -1, 1).astype(np.float64)
        success = bool(np.linalg.norm(self.at - self.goal) < 0.05)
        return Step(self.observe(), -float(np.linalg.norm(self.at - self.goal)), success)

    def observe(self) -> Observation:
        count = self.request.num_points
        cloud = np.zeros((count, 3), np.float32)
        valid = np.arange(count) < min(count, 40)
        cloud[:20, :2] = self.at + 0.01 * np.arange(20)[:20, None]
        cloud[20:40, :2] = self.goal + 0.01 * np.arange(20)[: max(0, count - 20), None]
        cloud[20:40, 2] = 0.5
        fields = {
            "proprio": self.at.astype(np.float32),
            "ground_truth": np.hstack([self.at, self.goal]).astype(np.float32),
            "points": cloud,
            "points_valid": valid,
        }
        return {name: fields[name] for name in self._specs}

    def state(self) -> np.ndarray:
        return np.hstack([self.at, self.goal])

    def set_state(self, state: np.ndarray) -> None:
        self.at, self.goal = state[:2].copy(), state[2:].copy()

    def expert_action(self) -> np.ndarray:
        if self.task == "hopeless":
            return np.zeros(2, np.float32)
        return (10 * (self.goal - self.at)).astype(np.float32)

    def fingerprint(self) -> str:
        return "toy==1, no renderer"

    def close(self) -> None: ...


class ThreeTasks(Toy):
    """The toy under the task names of a suite of MetaWorld's."""

    tasks: ClassVar[tuple[str, ...]] = ("button-press", "reach", "lever-pull")
