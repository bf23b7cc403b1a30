"""What frozen image encoders share: views to network inputs, one feature each, side by side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from envs.spec import FieldSpec
from methods.base import Representation
from methods.card import ImageInput, MethodOption
from methods.networks.vit import ViT
from methods.pictures import Pictures

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


OBSERVE = MethodOption(
    "observe",
    "rgb",
    ("rgb", "rgbd"),
    "rgbd: depth as a grey image, 255 / (1 + metres), through the same network; its feature stands behind rgb's",
    changes=(("rgbd", "observes", ("rgb", "depth")),),
)


class ImageEncoder(Representation):
    """(B, V, H, W, 3) uint8 to features (B, V * width), or tokens (B, V * T, token_dim), view by view.

    Cameras of different sizes, each (B, H, W, 3), are resized each by the card's rule, and go on like the others.

    observe: under `rgbd` twice as many, those of all depth images behind those of all rgb.

    network: maps prepared images (B, 3, size, size) to (B, width), its `tokens` to (B, T, token_dim).
    """

    camera_sizes = True
    network: Any
    image_input: ImageInput

    def __init__(self, specs: Mapping[str, FieldSpec], network: Any, width: int, observe: str = "rgb") -> None:
        super().__init__(specs)
        assert isinstance(self.card.input, ImageInput)
        self.image_input = self.card.input
        self.network = network
        self.requires_grad_(False)
        self.pictures = [Pictures(specs, field) for field in (("rgb", "depth") if observe == "rgbd" else ("rgb",))]
        self.towers = len(self.pictures)
        self.feature_dim = self.towers * self.pictures[0].cameras * width
        self.token_dim = network.token_dim

    def _images(self, observations: Mapping[str, Tensor]) -> Tensor:
        """(towers * B * V, 3, size, size)."""
        prepared = [pictures.prepare(observations, self.image_input) for pictures in self.pictures]
        return torch.cat(prepared) if self.towers > 1 else prepared[0]

    def _side_by_side(self, found: Tensor) -> Tensor:
        """(towers * B * V, ...) to (B, towers * V, ...)."""
        return found.unflatten(0, (self.towers, -1, self.pictures[0].cameras)).transpose(0, 1).flatten(1, 2)

    def encode(self, observations: Mapping[str, Tensor]) -> Tensor:
        return self._side_by_side(self.network(self._images(observations))).flatten(1)

    def encode_tokens(self, observations: Mapping[str, Tensor]) -> Tensor:
        return self._side_by_side(self.network.tokens(self._images(observations))).flatten(1, 2)


class ClassToken(nn.Module):
    """A ViT whose feature is the class token after the final norm; its tokens are the patches."""

    def __init__(self, vit: ViT) -> None:
        super().__init__()
        self.vit = vit
        self.token_dim = vit.config.width

    def forward(self, images: Tensor) -> Tensor:
        return self.vit(images)[:, 0]

    def tokens(self, images: Tensor) -> Tensor:
        return self.vit(images)[:, 1:]
