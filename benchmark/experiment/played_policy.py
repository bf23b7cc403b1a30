"""A policy that acts by itself: one observation in, one action out, with the memory of the running episode."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from benchmark.policy.act import act
from benchmark.policy.episode_memory import Memory
from benchmark.settings.instructions import InstructionTable
from envs.errors import SpecMismatch, UserError
from envs.spec import ActionSpec, FieldSpec
from methods.policy import Policy


class NoEpisode(UserError, RuntimeError):
    """`act` or `reset` without the instruction that a policy needs, or with one that it has no use for."""


class PlayedPolicy:
    """`reset` before every episode, then `act` once a step.

    observation: the fields that `act` wants, with shapes, dtypes, units and frames. action: what it gives. facts: what
    the bundle says of itself. instructions: what it can be told; None for a policy without instructions.
    """

    def __init__(
        self,
        policy: Policy,
        observation: Mapping[str, FieldSpec],
        action: ActionSpec,
        instructions: InstructionTable | None,
        facts: Mapping[str, Any],
        device: torch.device,
    ) -> None:
        self.policy, self.observation, self.action = policy, dict(observation), action
        self.instructions, self.facts, self.device = instructions, dict(facts), device
        self._memory: Memory | None = None
        if instructions is None:
            self.reset()

    def reset(self, instruction: str | None = None, seed: int = 0) -> None:
        """Begin an episode. seed: of the noise that a diffusion head starts from; a rollout's is the episode's.

        Raises `UserError` for an instruction that a policy without instructions is given, or that its features lack.
        """
        if self.instructions is None:
            if instruction is not None:
                raise NoEpisode(f"this policy takes no instruction; {instruction!r} would change nothing")
            self._memory = Memory(seed)
            return
        if instruction is None:
            raise NoEpisode(f"give an instruction, such as {self.instructions.sentences[0]!r}")
        self._memory = Memory(seed, self.instructions.feature(instruction))

    def act(self, observation: Mapping[str, np.ndarray]) -> np.ndarray:
        """The next action (A,) float32, to the bit what a rollout on the same machine sends.

        observation: one step's fields without a batch axis. Raises `SpecMismatch` for a missing, unknown or misshapen
        field, `NoEpisode` before the first `reset` of a policy with instructions.
        """
        if self._memory is None:
            raise NoEpisode("call reset(instruction=...) before the first act")
        fields: dict[str, np.ndarray] = {}
        if missing := sorted(set(self.observation) - set(observation)):
            raise SpecMismatch(f"the observation lacks {', '.join(missing)}; it has {', '.join(sorted(observation))}")
        for name, spec in self.observation.items():
            value = np.asarray(observation[name])
            spec.check(value)
            fields[name] = value[None]
        threads = torch.get_num_threads()
        if self.device.type == "cpu":
            torch.set_num_threads(1)  # as in a rollout: the order of sums depends on it
        try:
            bf16 = self.facts["precision"] == "bf16"
            (action,) = act(self.policy, fields, [self._memory], self.device, bf16)
        finally:
            torch.set_num_threads(threads)
        self._memory.actions.append(action)
        return np.asarray(action, np.float32)
