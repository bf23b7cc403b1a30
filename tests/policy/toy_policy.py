"""A policy of somebody's own in one file: raw inputs, two loss terms, two rates, a mask, temporal ensembling.

`bench run --policy tests/policy/toy_policy.py:Planner` (whole) and `--method dp3 --policy ...:OverFeatures`.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from methods.base import Representation
from methods.card import MethodOption
from methods.policy import Inputs, ParameterGroup, Policy, PolicySpecs, Recipe
from methods.policy_card import PolicyCard


class Planner(Policy):
    """Plans chunks from where the goal is; a small latent of the chunk, as in ACT, is zero when it acts."""

    card = PolicyCard(
        name="toy-planner",
        title="Toy planner",
        summary="chunks from the true state, with a latent",
        kind="control",
        observes=("ground_truth",),
        input=None,
        training="end-to-end",
        batch="3d",
        paper="none: a test",
        licence="MIT",
        options=(MethodOption("kl", "0.1", ("0.1", "10"), "weight of the latent's term"),),
        representation=False,
        chunk=4,
        ensemble=0.01,
    )

    def __init__(self, specs: PolicySpecs, representation: Representation | None = None, kl: str = "0.1") -> None:
        super().__init__(specs, representation)
        seen = specs.observation["ground_truth"].shape[0] + specs.observation["proprio"].shape[0]
        flat = self.chunk * self.action_dim
        self.kl = float(kl)
        self.latent = nn.Linear(flat, 4)
        self.network = nn.Sequential(nn.Linear(seen + 2, 64), nn.ReLU(), nn.Dropout(0.1), nn.Linear(64, flat))
        self.register_buffer("spread", torch.ones(self.action_dim))

    def fit(self, actions: Tensor, proprio: Tensor) -> None:
        self.spread.copy_(actions.std(0).clamp_min(1e-2))

    def losses(self, inputs: Inputs, actions: Tensor, padded: Tensor) -> dict[str, Tensor]:
        mean, spread = self.latent((actions / self.spread).flatten(1)).chunk(2, dim=1)
        latent = mean + (spread / 2).exp() * torch.randn_like(mean)
        kept = ~padded.unsqueeze(2)
        gap = (self._chunk(inputs, latent) - actions / self.spread).abs() * kept
        divergence = 0.5 * (mean.square() + spread.exp() - 1 - spread).sum(1)
        return {"l1": gap.sum() / (kept.sum() * self.action_dim), "kl": self.kl * divergence.mean()}

    def plan(self, inputs: Inputs, seeds: Sequence[int]) -> Tensor:
        rows = len(inputs["proprio"])
        return self._chunk(inputs, inputs["proprio"].new_zeros(rows, 2)) * self.spread

    def _chunk(self, inputs: Inputs, latent: Tensor) -> Tensor:
        seen = torch.cat([inputs["ground_truth"], inputs["proprio"], latent], dim=1)
        return self.network(seen).view(-1, self.chunk, self.action_dim)

    def parameter_groups(self, recipe: Recipe) -> list[ParameterGroup]:
        return [
            ParameterGroup(list(self.network.parameters()), recipe.learning_rate, schedule="cosine", warmup_steps=2),
            ParameterGroup(list(self.latent.parameters()), recipe.learning_rate / 10, weight_decay=1e-3),
        ]


class OverFeatures(Policy):
    """Over any representation, with a raw field beside its feature."""

    card = PolicyCard(
        name="toy-over-features",
        title="Toy over features",
        summary="one action from a feature and the true state",
        kind="control",
        observes=("ground_truth",),
        input=None,
        training="end-to-end",
        batch="3d",
        paper="none: a test",
        licence="MIT",
    )

    def __init__(self, specs: PolicySpecs, representation: Representation | None = None) -> None:
        super().__init__(specs, representation)
        assert representation is not None
        wide = representation.feature_dim + sum(
            specs.observation[name].shape[0] for name in ("ground_truth", "proprio")
        )
        self.network = nn.Sequential(nn.Linear(wide, 32), nn.ReLU(), nn.Linear(32, self.action_dim))

    def losses(self, inputs: Inputs, actions: Tensor, padded: Tensor) -> dict[str, Tensor]:
        return {"action": (self._action(inputs) - actions).square().mean()}

    def plan(self, inputs: Inputs, seeds: Sequence[int]) -> Tensor:
        return self._action(inputs).unsqueeze(1)

    def _action(self, inputs: Inputs) -> Tensor:
        feature = self.token_sets(inputs)["pooled"]
        return self.network(torch.cat([feature, inputs["ground_truth"], inputs["proprio"]], dim=1))
