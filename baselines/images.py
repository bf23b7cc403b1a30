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
from methods.preprocess import depth_pictures, prepare_images, prepare_pictures

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


OBSERVE = MethodOption(
    "observe", "rgb", ("rgb", "rgbd"),
    "rgbd: depth as a grey picture, 255 / (1 + metres), through the same network; its feature stands behind rgb's",
    changes=(("rgbd", "observes", ("rgb", "depth")),),
)  # fmt: skip


class ImageEncoder(Representation):
    """(B, V, H, W, 3) uint8 to features (B, V * width), or tokens (B, V * T, token_dim), view by view.

    observe: under `rgbd` twice as many, those of all depth pictures behind those of all rgb.

    network: maps prepared images (B, 3, size, size) to (B, width), its `tokens` to (B, T, token_dim).
    """

    network: Any
    image_input: ImageInput

    def __init__(self, specs: Mapping[str, FieldSpec], network: Any, width: int, observe: str = "rgb") -> None:
        super().__init__(specs)
        assert isinstance(self.card.input, ImageInput)
        self.image_input = self.card.input
        self.network = network
        self.requires_grad_(False)
        self.towers = 2 if observe == "rgbd" else 1
        self.feature_dim = self.towers * specs["rgb"].shape[0] * width
        self.token_dim = network.token_dim

    def _images(self, observations: Mapping[str, Tensor]) -> Tensor:
        """(towers * B * V, 3, size, size)."""
        images = prepare_images(observations["rgb"].flatten(0, 1), self.image_input)
        if self.towers == 1:
            return images
        depth = depth_pictures(observations["depth"].flatten(0, 1))
        return torch.cat([images, prepare_pictures(depth, self.image_input)])

    def _side_by_side(self, found: Tensor, rows: int) -> Tensor:
        """(towers * B * V, ...) to (B, towers * V, ...)."""
        return found.unflatten(0, (self.towers, rows, -1)).transpose(0, 1).flatten(1, 2)

    def encode(self, observations: Mapping[str, Tensor]) -> Tensor:
        return self._side_by_side(self.network(self._images(observations)), len(observations["rgb"])).flatten(1)

    def encode_tokens(self, observations: Mapping[str, Tensor]) -> Tensor:
        tokens = self.network.tokens(self._images(observations))
        return self._side_by_side(tokens, len(observations["rgb"])).flatten(1, 2)


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
