"""Methods of images that are small enough for the toy simulator: frozen, trained, and one that reads one stack."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from baselines.images import OBSERVE, ImageEncoder
from envs.spec import FieldSpec
from methods.base import Representation
from methods.card import ImageInput, MethodCard
from methods.pictures import Pictures
from methods.policy import Inputs, Policy, PolicySpecs
from methods.policy_card import PolicyCard
from methods.preprocess import prepare_images

INPUT = ImageInput(32, (0, 1), (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), resize="stretch")
SAID = {"summary": "", "kind": "2d", "observes": ("rgb",), "input": INPUT, "batch": "2d", "paper": "", "licence": "MIT"}


class Cells(nn.Module):
    """(B, 3, 32, 32) to (B, 64), or tokens (B, 16, 4)."""

    token_dim = 4

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 4, 8, stride=8)

    def tokens(self, images: Tensor) -> Tensor:
        return self.layer(images).tanh().flatten(2).transpose(1, 2)

    def forward(self, images: Tensor) -> Tensor:
        return self.tokens(images).flatten(1)


class Frozen(ImageEncoder):
    card = MethodCard(name="toy-frozen", title="Frozen", training="frozen", options=(OBSERVE,), **SAID)  # type: ignore[arg-type]

    def __init__(self, specs: Mapping[str, FieldSpec], observe: str = "rgb") -> None:
        super().__init__(specs, Cells(), 64, observe)


class Trained(Representation):
    card = MethodCard(name="toy-trained", title="Trained", training="end-to-end", **SAID)  # type: ignore[arg-type]
    camera_sizes = True

    def __init__(self, specs: Mapping[str, FieldSpec]) -> None:
        super().__init__(specs)
        self.pictures, self.network = Pictures(specs, "rgb"), Cells()
        self.feature_dim = 64 * self.pictures.cameras

    def encode(self, observations: Mapping[str, Tensor]) -> Tensor:
        return self.network(self.pictures.prepare(observations, INPUT)).view(-1, self.feature_dim)


class OneStack(Representation):
    """As somebody writes it who thinks of one size."""

    card = MethodCard(name="toy-stack", title="One stack", training="end-to-end", **SAID)  # type: ignore[arg-type]

    def __init__(self, specs: Mapping[str, FieldSpec]) -> None:
        super().__init__(specs)
        self.network, self.feature_dim = Cells(), 64 * specs["rgb"].shape[0]

    def encode(self, observations: Mapping[str, Tensor]) -> Tensor:
        rgb = observations["rgb"]
        return self.network(prepare_images(rgb.flatten(0, 1), INPUT)).view(len(rgb), -1)


class OverPictures(Policy):
    """Over a representation, with the mean colours of all images beside its feature."""

    card = PolicyCard(name="toy-over-pictures", title="Over images", training="end-to-end", **SAID)  # type: ignore[arg-type]
    camera_sizes = True

    def __init__(self, specs: PolicySpecs, representation: Representation | None = None) -> None:
        super().__init__(specs, representation)
        assert representation is not None
        self.pictures = Pictures(specs.observation, "rgb")
        self.network = nn.Linear(representation.feature_dim + 3 * self.pictures.cameras, self.action_dim)

    def losses(self, inputs: Inputs, actions: Tensor, padded: Tensor) -> dict[str, Tensor]:
        return {"action": (self._action(inputs) - actions).square().mean()}

    def plan(self, inputs: Inputs, seeds: Sequence[int]) -> Tensor:
        return self._action(inputs).unsqueeze(1)

    def _action(self, inputs: Inputs) -> Tensor:
        colours = self.pictures.prepare(inputs, INPUT).mean((2, 3)).view(-1, 3 * self.pictures.cameras)
        return self.network(torch.cat([self.token_sets(inputs)["pooled"], colours], 1))


class OverOneStack(OverPictures):
    """One that does not say that it takes several sizes."""

    card = PolicyCard(name="toy-over-stack", title="Over one stack", training="end-to-end", **SAID)  # type: ignore[arg-type]
    camera_sizes = False
