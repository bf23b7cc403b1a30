"""ACT over a representation: `bench run --method dp3 --head act`."""

from __future__ import annotations

from torch import Tensor

from baselines.act.card import OVER
from baselines.act.policy import ChunkPolicy
from baselines.act.positions import sine_1d
from methods.base import Representation
from methods.policy import Inputs, PolicySpecs


class ACTHead(ChunkPolicy):
    """Its feature (B, D) as one token, or its tokens (B, T, D), with sine positions of their order; a representation
    without a feature (`proprio-only`) adds no token.
    """

    card = OVER

    def __init__(self, specs: PolicySpecs, representation: Representation | None = None, **options: str) -> None:
        assert representation is not None
        condition = options.get("condition", "pooled")
        width = representation.token_dim if condition == "tokens" else representation.feature_dim
        super().__init__(specs, representation, width, options)
        self.sets = (condition,)

    def _seen(self, inputs: Inputs) -> tuple[Tensor, Tensor]:
        found = self.conditioning(inputs)
        found = found if found.dim() == 3 else found.unsqueeze(1)
        return found, sine_1d(found.shape[1], self.sizes.width, found.device)
