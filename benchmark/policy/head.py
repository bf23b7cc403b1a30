"""What every head offers to the trainer and to rollouts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from torch import Tensor, nn
from torch.nn import functional

from benchmark.policy.normalizers import ActionScaler
from envs.spec import ActionSpec
from methods.action_loss import action_losses
from methods.action_terms import Term, loss_terms, scalings
from methods.policy import Average, Recipe, total
from methods.range_normalizer import RangeNormalizer


class Head(nn.Module):
    """What every head offers to the policy that it is part of.

    chunk: actions it is trained to give for one observation; lead: how many of them lie before the present; execute:
    how many from the present on are played before it is asked again; obs_steps: observations it looks at; left_out:
    frames at an episode's end that it is not trained on; ensemble: temporal ensembling, -1 for none
    (`methods.policy_card.PolicyCard`). optimizer, average: of the policy. action, terms: what it gives, and its loss
    part by part where a protocol says one; actions: how actions are scaled, None: not at all.
    """

    chunk = 1
    lead = 0
    execute = 1
    obs_steps = 1
    left_out = 0
    ensemble = -1.0
    optimizer: Literal["adam", "adamw"] = "adam"
    average: Average | None = None
    scaled = "none"
    """Actions, where a protocol does not say otherwise."""

    def __init__(self) -> None:
        super().__init__()
        self.action: ActionSpec | None = None
        self.terms: tuple[Term, ...] = ()
        self.actions: RangeNormalizer | None = None

    def describe_action(self, action: ActionSpec, loss: str, scaling: str) -> None:
        """Called once, before anything else. loss, scaling: `protocol.action_loss`, `action_scaling`.

        Raises `BadTerms` for what is not of this action.
        """
        self.action, self.terms = action, loss_terms(loss, action)
        modes = scalings(scaling, action, self.scaled)
        if set(modes.values()) == {"none"} and self.actions is None:
            return
        self.actions = ActionScaler(action, modes)

    def action_losses(self, guess: Tensor, target: Tensor) -> dict[str, Tensor]:
        """Of scaled actions (..., A)."""
        if self.action is None:
            return {"action": functional.mse_loss(guess, target)}
        return action_losses(self.terms, guess, target, self.action)

    def fit(self, actions: Tensor, proprio: Tensor) -> None:
        """Set normalisers from the training data, (T, A) and (T, S). Called once, before training."""
        if self.actions is not None:
            self.actions.fit(actions)

    def group_settings(self, recipe: Recipe) -> dict[str, Any]:
        """Fields of `ParameterGroup` for what is trained; the protocol's recipe unless a head has its own."""
        return {
            "learning_rate": recipe.learning_rate,
            "weight_decay": recipe.weight_decay,
            "follows_protocol": True,
        }

    def losses(
        self, condition: Tensor, proprio: Tensor, actions: Tensor, language: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Scalars by name, for targets (B, A), or (B, chunk, A) where chunk > 1. language: (B, D)."""
        raise NotImplementedError

    def loss(self, condition: Tensor, proprio: Tensor, actions: Tensor, language: Tensor | None = None) -> Tensor:
        """The sum that is trained."""
        return total(self.losses(condition, proprio, actions, language))

    def plan(self, condition: Tensor, proprio: Tensor, seeds: Sequence[int], language: Tensor | None = None) -> Tensor:
        """(B, chunk, A). What is random is drawn from each row's own seed."""
        raise NotImplementedError
