"""ALOHA Unleashed with CLAMP: the policy with a frozen representation's tokens beside those of images and state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import Tensor

from baselines.aloha_unleashed.card import BESIDE
from baselines.aloha_unleashed.network import FurtherTokens
from baselines.aloha_unleashed.policy import AlohaUnleashed
from methods.base import Representation
from methods.beginning import load_whole
from methods.errors import BadMethod
from methods.policy import Inputs, PolicySpecs

DECODER = ("predictor.", "choices", "actions.", "state.")
"""What of a policy is its decoder, with what its pre-training's data are normalised by."""


class AlohaUnleashedBeside(AlohaUnleashed):
    """As `AlohaUnleashed`, with tokens (B, T, D), CLAMP's 980 of views and 50 of past actions, as further tokens of the
    encoder, each projected to its width (CLAMP, section III-C).

    With `positions=sine` they have sines of their order and one learned vector; CLAMP says that positions are added,
    not which.
    """

    card = BESIDE

    def __init__(
        self,
        specs: PolicySpecs,
        representation: Representation | None = None,
        condition: str = "tokens",
        begin: str = "whole",
        **options: str,
    ) -> None:
        assert representation is not None
        super().__init__(specs, representation, **options)
        self.sets, self._begin = (condition,), begin
        pooled = condition == "pooled"
        learned = options.get("positions") == "learned"
        count = 1 if pooled else representation.token_count
        if learned and not count:
            raise BadMethod(
                f"policy.positions=learned has a vector for each token, and {representation.card.name} does not say "
                "how many tokens it gives: take policy.positions=sine"
            )
        width = representation.feature_dim if pooled else representation.token_dim
        self.further = FurtherTokens(width, self.size.width, count if learned else 0)

    def _further(self, inputs: Inputs) -> Tensor:
        return self.further(self.conditioning(inputs))

    def load_weights(self, paths: Sequence[Path]) -> None:
        """As the whole policy's; of several files one after the other, ImageNet's before a policy's decoder."""
        for path in paths:
            super().load_weights([path])

    def _take(self, tensors: Mapping[str, Tensor], source: str) -> None:
        if self._begin == "decoder":
            own = self.state_dict()
            tensors = {
                name: value if name.startswith(DECODER) else own.get(name, value) for name, value in tensors.items()
            }
        load_whole(self, tensors, source, ("further.",))
