"""What frozen image encoders share: views to network inputs, one feature each, side by side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from envs.spec import FieldSpec
from methods.base import Representation
from methods.card import ImageInput
from methods.networks.vit import ViT
from methods.preprocess import prepare_images

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class ImageEncoder(Representation):
    """(B, V, H, W, 3) uint8 to features (B, V * width), or tokens (B, V * T, token_dim), view by view.

    network: maps prepared images (B, 3, size, size) to (B, width), its `tokens` to (B, T, token_dim).
    """

    network: Any
    image_input: ImageInput

    def __init__(self, specs: Mapping[str, FieldSpec], network: Any, width: int) -> None:
        super().__init__(specs)
        assert isinstance(self.card.input, ImageInput)
        self.image_input = self.card.input
        self.network = network
        self.requires_grad_(False)
        self.feature_dim = specs["rgb"].shape[0] * width
        self.token_dim = network.token_dim

    def _images(self, observations: Mapping[str, Tensor]) -> Tensor:
        return prepare_images(observations["rgb"].flatten(0, 1), self.image_input)

    def encode(self, observations: Mapping[str, Tensor]) -> Tensor:
        return self.network(self._images(observations)).view(len(observations["rgb"]), -1)

    def encode_tokens(self, observations: Mapping[str, Tensor]) -> Tensor:
        tokens = self.network.tokens(self._images(observations))
        return tokens.reshape(len(observations["rgb"]), -1, self.token_dim)


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
