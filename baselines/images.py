"""What frozen image encoders share: views to network inputs, one feature each, side by side."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from envs.spec import FieldSpec
from methods.base import Representation
from methods.card import ImageInput
from methods.preprocess import prepare_images

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class ImageEncoder(Representation):
    """(B, V, H, W, 3) uint8 to (B, V * width). `network` maps prepared images (B, 3, size, size) to (B, width)."""

    network: nn.Module
    image_input: ImageInput

    def __init__(self, specs: Mapping[str, FieldSpec], network: nn.Module, width: int) -> None:
        super().__init__(specs)
        assert isinstance(self.card.input, ImageInput)
        self.image_input = self.card.input
        self.network = network
        self.requires_grad_(False)
        self.feature_dim = specs["rgb"].shape[0] * width

    def encode(self, observations: Mapping[str, Tensor]) -> Tensor:
        rgb = observations["rgb"]
        images = prepare_images(rgb.flatten(0, 1), self.image_input)
        return self.network(images).view(len(rgb), -1)
