"""The contract of a representation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor, nn

from envs.spec import FieldSpec
from methods.card import MethodCard


class Representation(nn.Module):
    """Turns a batched observation into one feature vector for each sample.

    A subclass sets `card`, sets `feature_dim` in its constructor and implements `encode`. The constructor gets the
    specs of the fields the card observes, so that a method whose input size depends on the simulator can ask.
    Raise ValueError in the constructor for an option that makes no sense.

    A representation whose card says `frozen` has `requires_grad` off everywhere and stays in eval mode when
    `.train()` is called on the policy it is part of.
    """

    card: ClassVar[MethodCard]
    feature_dim: int

    def __init__(self, specs: Mapping[str, FieldSpec]) -> None:
        super().__init__()
        missing = sorted(set(self.card.observes) - set(specs))
        if missing:
            raise ValueError(f"{self.card.name} observes {missing}, which the simulator does not give")

    def fit(self, observations: Mapping[str, Tensor]) -> None:
        """Set normalisers from the training observations, fields (T, ...). Called once, before training."""

    def encode(self, observations: Mapping[str, Tensor]) -> Tensor:
        """(B, feature_dim) float32 from fields with a leading axis B, as `envs.spec` describes them."""
        raise NotImplementedError

    def encode_tokens(self, observations: Mapping[str, Tensor]) -> Tensor:
        """(B, T, D) float32 for methods that keep tokens. Others have none: LookupError."""
        raise LookupError(f"{self.card.name} has no tokens, only one feature vector")

    def freeze_as_card_says(self) -> None:
        if self.card.frozen:
            self.requires_grad_(False)
            self.eval()

    def train(self, mode: bool = True) -> Representation:
        super().train(mode and not self.card.frozen)
        return self

    def forward(self, observations: Mapping[str, Tensor]) -> Tensor:
        return self.encode(observations)
