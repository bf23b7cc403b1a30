"""A hub's model behind the contract: frozen, adapted by LoRA, or trained whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from baselines.hub.lora import add_lora, with_lora
from baselines.images import ImageEncoder
from envs.spec import FieldSpec
from methods.card import ImageInput
from methods.weights import load_strictly, read_tensors


class HubNetwork(nn.Module):
    """Prepared images (B, 3, size, size) to a feature (B, width). The model's parameters keep their own names.

    features: one of `cls`, `mean`, `map`, `tokens`.
    """

    width: int
    token_dim: int

    def __init__(self, model: Any, features: str) -> None:
        super().__init__()
        self.model = model
        self.features = features

    def pooled(self, images: Tensor) -> Tensor:
        raise NotImplementedError

    def tokens(self, images: Tensor) -> Tensor:
        """(B, T, token_dim): patch tokens, or a map's cells row by row."""
        raise NotImplementedError

    def checkpoint(self, tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """A published checkpoint under the names of `model`, without the parts that are not used."""
        raise NotImplementedError

    def forward(self, images: Tensor) -> Tensor:
        return self.tokens(images).flatten(1) if self.features == "tokens" else self.pooled(images)


class HubEncoder(ImageEncoder):
    """(B, V, H, W, 3) uint8 to (B, V * width)."""

    network: HubNetwork

    def __init__(
        self,
        specs: Mapping[str, FieldSpec],
        training: str = "frozen",
        features: str | None = None,
        size: str | None = None,
        observe: str = "rgb",
    ) -> None:
        card = self.card.under({"size": size} if size else {})
        assert isinstance(card.input, ImageInput)
        own = next(option.default for option in card.options if option.name == "features")
        network = self.make_network(features or own, card.input.size)
        super().__init__(specs, network, network.width, observe)
        self.image_input = card.input
        if training == "lora":
            add_lora(network)
        elif training == "finetune":
            network.requires_grad_(True)

    def make_network(self, features: str, size: int) -> HubNetwork:
        """The model with random weights. size: pixels of its images."""
        raise NotImplementedError

    def load_weights(self, paths: Sequence[Path]) -> None:
        tensors = self.network.checkpoint(read_tensors(paths[0]))
        load_strictly(self.network.model, with_lora(self.network.model, tensors), str(paths[0]))
