"""Controls: what a table is read against. None is a representation anyone would publish."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from envs.spec import FieldSpec
from methods.base import Representation
from methods.card import MethodCard, PointInput, VectorInput
from methods.pooling import pointwise_max
from methods.preprocess import PointPreprocess, VectorPreprocess


class State(Representation):
    """The simulator's ground truth: a reference. A head may learn less from it than from a cloud (docs/rlbench.md)."""

    card = MethodCard(
        name="state",
        title="State (control)",
        summary="ground-truth object and goal positions; a reference, no representation and no upper bound",
        kind="control",
        observes=("ground_truth",),
        input=VectorInput("ground_truth", "standardize"),
        training="frozen",
        batch="3d",
        paper="none: a control of this benchmark",
        licence="MIT",
        parameters=0,
        parameters_source="it has none",
        notes=("batch as for 3D methods, so that the reference has no fewer optimiser steps than they have",),
    )

    def __init__(self, specs: Mapping[str, FieldSpec]) -> None:
        super().__init__(specs)
        self.feature_dim = specs["ground_truth"].shape[0]
        assert isinstance(self.card.input, VectorInput)
        self.preprocess = VectorPreprocess(self.card.input, self.feature_dim)

    def fit(self, observations: Mapping[str, Tensor]) -> None:
        self.preprocess.fit(observations["ground_truth"])

    def encode(self, observations: Mapping[str, Tensor]) -> Tensor:
        return self.preprocess(observations["ground_truth"])


class RandomFeatures(Representation):
    """An untrained, frozen point network: what the head learns from an arbitrary look at the cloud."""

    card = MethodCard(
        name="random-features",
        title="Random features (control)",
        summary="a frozen, untrained network on points; anything worth training is above it",
        kind="control",
        observes=("points", "points_valid"),
        input=PointInput(1024, "limits"),
        training="frozen",
        batch="3d",
        paper="none: a control of this benchmark",
        licence="MIT",
        parameters=58_048,
        parameters_source="64-128-256 and a linear layer to 64, counted",
    )
    feature_dim = 64

    def __init__(self, specs: Mapping[str, FieldSpec]) -> None:
        super().__init__(specs)
        assert isinstance(self.card.input, PointInput)
        self.preprocess = PointPreprocess(self.card.input)
        self.network = nn.Sequential(
            nn.Linear(3, 64), nn.ReLU(), nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 256), nn.ReLU()
        )
        self.projection = nn.Linear(256, self.feature_dim)

    def fit(self, observations: Mapping[str, Tensor]) -> None:
        self.preprocess.fit(observations["points"], observations["points_valid"])

    def encode(self, observations: Mapping[str, Tensor]) -> Tensor:
        points = self.preprocess(observations["points"], observations["points_valid"])
        return self.projection(pointwise_max(self.network, points))


class ProprioOnly(Representation):
    """No exteroception: what the head learns from the robot's own pose, by heart."""

    card = MethodCard(
        name="proprio-only",
        title="Proprioception only (control)",
        summary="no sight at all; what the policy does by heart",
        kind="control",
        observes=(),
        input=None,
        training="frozen",
        batch="3d",
        paper="none: a control of this benchmark",
        licence="MIT",
        parameters=0,
        parameters_source="it has none",
    )
    feature_dim = 0

    def encode(self, observations: Mapping[str, Tensor]) -> Tensor:
        proprio = observations["proprio"]
        return torch.zeros(len(proprio), 0, device=proprio.device)
