"""ACT with CLAMP: ACT as it is, with a frozen representation's tokens beside those of its images."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from baselines.act.card import BESIDE
from baselines.act.positions import sine_1d
from baselines.act.whole import ACT
from methods.base import Representation
from methods.beginning import load_whole
from methods.policy import Inputs, PolicySpecs


class ACTBeside(ACT):
    """As `ACT`, with tokens (B, T, D), CLAMP's 980 of views and 50 of past actions, as further tokens of its encoder,
    each projected to its width, with sine positions of their order. CLAMP says of its ACT only that it has them.
    """

    card = BESIDE

    def __init__(
        self,
        specs: PolicySpecs,
        representation: Representation | None = None,
        condition: str = "tokens",
        **options: str,
    ) -> None:
        assert representation is not None
        super().__init__(specs, representation, **options)
        self.sets = (condition,)
        width = representation.token_dim if condition == "tokens" else representation.feature_dim
        self.further = nn.Linear(width, self.sizes.width)

    def _further(self, inputs: Inputs) -> tuple[Tensor, Tensor]:
        found = self.conditioning(inputs)
        tokens = self.further(found if found.dim() == 3 else found.unsqueeze(1))
        return tokens, sine_1d(tokens.shape[1], self.sizes.width, tokens.device)

    def _take(self, tensors: Mapping[str, Tensor], source: str) -> None:
        load_whole(self, tensors, source, ("further.",))
