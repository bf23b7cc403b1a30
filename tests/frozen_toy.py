"""A frozen encoder of the toy simulator with a file of weights, small enough for tests of what travels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from envs.spec import FieldSpec
from methods.base import Representation
from methods.card import MethodCard, VectorInput, WeightFile
from methods.weights import load_strictly, read_tensors


class FrozenToy(Representation):
    card = MethodCard(
        name="frozen-toy",
        title="Frozen toy",
        summary="a random rotation",
        kind="control",
        observes=("ground_truth",),
        input=VectorInput("ground_truth", "none"),
        training="frozen",
        batch="3d",
        paper="none",
        licence="MIT",
        parameters_source="none",
        weights=(WeightFile("toy.pt", None, "MIT"),),
    )
    feature_dim = 16

    def __init__(self, specs: Mapping[str, FieldSpec]) -> None:
        super().__init__(specs)
        self.network = nn.Sequential(nn.Linear(specs["ground_truth"].shape[0], 16), nn.Tanh())

    def load_weights(self, paths: Sequence[Path]) -> None:
        load_strictly(self.network, read_tensors(paths[0]), str(paths[0]))

    def encode(self, observations: Mapping[str, Tensor]) -> Tensor:
        return self.network(torch.as_tensor(observations["ground_truth"]))
