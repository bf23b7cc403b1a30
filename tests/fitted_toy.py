"""A frozen encoder of the toy simulator that is fitted on the actions before, and has no file of weights."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from envs.spec import FieldSpec
from methods.base import Representation
from methods.card import MethodCard, VectorInput


class FittedToy(Representation):
    """Scales what it gives by the actions before, which it is fitted on."""

    card = MethodCard(
        name="fitted-toy",
        title="Fitted toy",
        summary="a random rotation, scaled",
        kind="control",
        observes=("ground_truth",),
        input=VectorInput("ground_truth", "none"),
        training="frozen",
        batch="3d",
        paper="none",
        licence="MIT",
        parameters_source="none",
        past_actions=2,
    )

    feature_dim = 16

    def __init__(self, specs: Mapping[str, FieldSpec]) -> None:
        super().__init__(specs)
        self.network = nn.Sequential(nn.Linear(specs["ground_truth"].shape[0], 16), nn.Tanh())
        self.scale: Tensor
        self.register_buffer("scale", torch.ones(()))

    def fit(self, observations: Mapping[str, Tensor]) -> None:
        self.scale = 1 + observations["past_actions"].abs().amax()

    def encode(self, observations: Mapping[str, Tensor]) -> Tensor:
        acted = observations["past_actions"].mean((1, 2))[:, None]
        return self.network(torch.as_tensor(observations["ground_truth"])) * self.scale + acted
