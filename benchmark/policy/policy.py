"""The first policy of the contract: a representation, then a head."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from benchmark.policy.head import Head
from envs.errors import UserError
from envs.spec import ActionSpec
from methods.base import Representation
from methods.policy import Average, Inputs, ParameterGroup, Policy, PolicySpecs, Recipe, total


class PolicyDiverged(UserError, ArithmeticError):
    """The policy's output is not finite."""


class HeadPolicy(Policy):
    """A representation under a head. How it looks and acts is the head's to say.

    condition: the token set that the head takes, `pooled`, or `tokens` of methods that keep them.
    """

    representation: Representation

    def __init__(
        self,
        representation: Representation,
        head: Head,
        condition: str = "pooled",
        action: ActionSpec | int = 0,
        specs: PolicySpecs | None = None,
    ) -> None:
        super().__init__(specs or PolicySpecs({}, plain_action(action)), representation)
        self.head, self.sets = head, (condition,)

    @property
    def chunk(self) -> int:
        return self.head.chunk

    @property
    def lead(self) -> int:
        return self.head.lead

    @property
    def execute(self) -> int:
        return self.head.execute

    @property
    def obs_steps(self) -> int:
        return self.head.obs_steps

    @property
    def left_out(self) -> int:
        return self.head.left_out

    @property
    def ensemble(self) -> float:
        return self.head.ensemble

    @property
    def optimizer(self) -> str:  # type: ignore[override]
        return self.head.optimizer

    @property
    def average(self) -> Average | None:  # type: ignore[override]
        return self.head.average

    def fit(self, actions: Tensor, proprio: Tensor) -> None:
        self.head.fit(actions, proprio)

    def losses(self, inputs: Inputs, actions: Tensor, padded: Tensor | None = None) -> dict[str, Tensor]:
        """The heads take every action of a chunk alike, repeated ones too."""
        return self.head.losses(self.conditioning(inputs), inputs["proprio"], actions, self._told(inputs))

    def loss(self, inputs: Inputs, actions: Tensor) -> Tensor:
        return total(self.losses(inputs, actions))

    def plan(self, inputs: Inputs, seeds: Sequence[int]) -> Tensor:
        """(B, chunk, A)."""
        return self.head.plan(self.conditioning(inputs), inputs["proprio"], seeds, self._told(inputs))

    def parameter_groups(self, recipe: Recipe) -> list[ParameterGroup]:
        """The head's, and in another group the representation's, if any of it is trained."""
        settings = self.head.group_settings(recipe)
        rate = settings.pop("learning_rate")
        encoder = [p for p in self.representation.parameters() if p.requires_grad]
        groups = [ParameterGroup([p for p in self.head.parameters() if p.requires_grad], rate, **settings)]
        if encoder:
            groups.append(ParameterGroup(encoder, rate * recipe.encoder_lr_multiplier, **settings))
        return groups

    def _told(self, inputs: Inputs) -> Tensor | None:
        """Features (B, D) of the instruction, which stays the same throughout an episode."""
        language = inputs.get("language")
        return language[:, -1] if language is not None and self.head.obs_steps > 1 else language


def plain_action(action: ActionSpec | int) -> ActionSpec:
    """An action of so many numbers of which nothing else is said."""
    if isinstance(action, ActionSpec):
        return action
    names = tuple(f"a{number}" for number in range(action))
    return ActionSpec(names, (-torch.inf,) * action, (torch.inf,) * action, "")
