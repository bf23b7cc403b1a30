"""The contract of a representation."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor, nn

from envs.pictures import base_name
from envs.spec import FieldSpec
from methods.card import MethodCard
from methods.pictures import refuse_apart


class Representation(nn.Module):
    """Turns a batched observation into one feature vector for each sample.

    A subclass sets `card`, sets `feature_dim` in its constructor and implements `encode`. The constructor gets the
    specs of the fields the card observes, so that a method whose input size depends on the simulator can ask, and the
    options that its card names as keywords. If the card names weights, implement `load_weights`.

    A representation whose card says `frozen` has `requires_grad` off everywhere and stays in eval mode when
    `.train()` is called on the policy it is part of.
    """

    card: ClassVar[MethodCard]
    made_from: ClassVar[Mapping[str, str]] = {}
    """What a class that is made while running was made from, beside its card: a part of its numbers' names."""
    camera_sizes: ClassVar[bool] = False
    """Whether cameras may have different sizes: each image is a field of its own then, `rgb@corner` (B, H, W, 3) in
    place of `rgb` (B, V, H, W, 3). `methods.pictures.Pictures` reads both. Says nothing of methods without images."""
    feature_dim: int
    token_dim: int = 0
    """Width of a token, for methods that keep tokens."""
    token_count: int = 0
    """How many tokens there are of each observation, where that is known before one is encoded; else 0."""

    def __init__(self, specs: Mapping[str, FieldSpec]) -> None:
        super().__init__()
        refuse_apart(self.card.name, self.card.observes, specs, self.camera_sizes)
        missing = sorted(set(self.card.observes) - {base_name(field) for field in specs})
        if missing:
            raise ValueError(f"{self.card.name} observes {missing}, which the simulator does not give")

    @classmethod
    def under(cls, options: Mapping[str, str]) -> type[Representation]:
        """The class of the method with these options: its card says what is seen and trained under them."""
        card = cls.card.under(options)
        return cls if card == cls.card else _with_card(cls, card)  # type: ignore[arg-type]  # a class can be hashed

    def load_weights(self, paths: Sequence[Path]) -> None:
        """Load the files of `card.weights`, in their order, or one file of the user's. Raises `BadWeights`."""
        raise NotImplementedError(f"{self.card.name} names weights and does not load them")

    def fit(self, observations: Mapping[str, Tensor]) -> None:
        """Set normalisers from the training observations, fields (T, ...). Called once, before training.

        A field is read when it is asked for, on the CPU; of several tasks together it may be larger than the memory.
        """

    def encode(self, observations: Mapping[str, Tensor]) -> Tensor:
        """(B, feature_dim) float32 from fields with a leading axis B, as `envs.spec` describes them."""
        raise NotImplementedError

    def encode_tokens(self, observations: Mapping[str, Tensor]) -> Tensor:
        """(B, T, D) float32 for methods that keep tokens. Others have none: LookupError."""
        raise LookupError(f"{self.card.name} has no tokens, only one feature vector")

    def token_set(self, name: str, observations: Mapping[str, Tensor]) -> Tensor:
        """(B, T, D) float32, one of several sets of tokens by its name, for policies that ask for it.

        `tokens` is `encode_tokens`. Raises LookupError for a set that the method does not have.
        """
        if name == "tokens":
            return self.encode_tokens(observations)
        raise LookupError(f"{self.card.name} has no token set called {name}")

    # What is never trained is computed once and kept. A method whose card says `frozen` needs nothing more; one with
    # a frozen trunk and a trained projection overrides these three.

    @property
    def frozen_part(self) -> nn.Module | None:
        """The module whose outputs may be cached, None if everything is trained."""
        return self if self.card.frozen else None

    def encode_frozen(self, observations: Mapping[str, Tensor]) -> Tensor:
        """(B, ...) float32 outputs of the frozen part."""
        return self.encode(observations)

    def project(self, frozen: Tensor) -> Tensor:
        """(B, feature_dim) from outputs of the frozen part: `encode(x) == project(encode_frozen(x))`."""
        return frozen

    def freeze_as_card_says(self) -> None:
        if self.card.frozen:
            self.requires_grad_(False)
            self.eval()

    def train(self, mode: bool = True) -> Representation:
        super().train(mode and not self.card.frozen)
        return self

    def forward(self, observations: Mapping[str, Tensor]) -> Tensor:
        return self.encode(observations)


@functools.cache
def _with_card(kind: Any, card: MethodCard) -> type[Representation]:
    same = {name: getattr(kind, name) for name in ("__module__", "__qualname__", "__doc__")}
    return type(kind.__name__, (kind,), {**same, "card": card})


def has_tokens(kind: type[Representation]) -> bool:
    return kind.encode_tokens is not Representation.encode_tokens
