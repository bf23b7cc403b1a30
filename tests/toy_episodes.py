"""The toy simulator with episodes of every kind: ended by a failed action, never restored, planned as a whole."""

from __future__ import annotations

import os
from typing import Any, ClassVar

import numpy as np

from envs.base import ExpertEpisode, Step
from envs.spec import Observation
from tests.toy_env import Toy

EDGE = 0.55
"""Metres from the middle, along x, that the point of `Fenced` may go."""


class Fenced(Toy):
    """An action that leads over the edge is not carried out, and ends the episode."""

    name: ClassVar[str] = "fenced"
    version: ClassVar[str] = "fenced==1"
    tasks: ClassVar[tuple[str, ...]] = ("near", "far")

    def step(self, action: np.ndarray) -> Step:
        before = self.at
        step = super().step(action)
        if abs(self.at[0]) <= EDGE:
            return step
        self.at = before
        return Step(self.observe(), step.reward, False, "no path to the target")


class Forgetful(Toy):
    """It cannot be put back into a state."""

    name: ClassVar[str] = "forgetful"
    version: ClassVar[str] = "forgetful==1"
    restorable: ClassVar[bool] = False
    state: Any = None
    set_state: Any = None


class Unsteady(Forgetful):
    """Its goal is where $TOY_DRIFT says (metres beside its place), as in a simulator whose engine is not seeded."""

    name: ClassVar[str] = "unsteady"
    version: ClassVar[str] = "unsteady==1"

    def reset(self, seed: int) -> Observation:
        super().reset(seed)
        self.goal = self.goal + float(os.environ.get("TOY_DRIFT", "0"))
        return self.observe()


class Planner(Toy):
    """Its expert plans a whole episode, which ends with success; for one seed in five it finds no plan."""

    name: ClassVar[str] = "planner"
    version: ClassVar[str] = "planner==1"
    expert_action: Any = None

    def expert_episode(self, seed: int) -> ExpertEpisode:
        observation = self.reset(seed)
        rows: list[tuple[Any, ...]] = []
        while not rows or not rows[-1][-1]:
            moment = observation, self.state()
            action = (10 * (self.goal - self.at)).astype(np.float32)
            step = self.step(action)
            rows.append((*moment, action, step.reward, step.success))
            observation = step.observation
        observations, states, actions, rewards, success = zip(*rows, strict=True)
        return ExpertEpisode(
            {name: np.stack([one[name] for one in observations]) for name in observation},
            np.stack(actions),
            np.array(rewards),
            np.array(success),
            np.stack(states),
            failed=seed % 5 == 0,
        )


class Unseeded(Forgetful):
    """Its seed does not say where it begins."""

    name: ClassVar[str] = "unseeded"
    version: ClassVar[str] = "unseeded==1"
    not_replayable: ClassVar[str] = "its wind is not seeded"

    def initial_state(self) -> np.ndarray:
        return np.array([*self.at], np.float64)
