"""A policy: representation, then head."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from methods.base import Representation

CUDA_ROWS = 32
"""On a GPU the kernel is chosen by the batch's shape, so batches are padded to a multiple of this."""


class EmptyCloud(ValueError):
    """An observation without a single point. There is nothing to encode, and no fake point is put in its place."""


class PolicyDiverged(ArithmeticError):
    """The policy's output is not finite."""


class Policy(nn.Module):
    """`forward` maps observations (B, ...) to actions (B, A); `from_frozen` starts from the frozen part's outputs."""

    def __init__(self, representation: Representation, head: nn.Module) -> None:
        super().__init__()
        self.representation = representation
        self.head = head

    def forward(self, observations: Mapping[str, Tensor]) -> Tensor:
        return self.head(self.representation.encode(observations).float(), observations["proprio"])

    def from_frozen(self, frozen: Tensor, proprio: Tensor) -> Tensor:
        return self.head(self.representation.project(frozen).float(), proprio)

    def trained_state(self) -> dict[str, Tensor]:
        """Parameters and buffers without the frozen part, which is the same in every checkpoint."""
        frozen = self._frozen_prefix()
        return {n: t for n, t in self.state_dict().items() if frozen is None or not n.startswith(frozen)}

    def load_trained_state(self, state: Mapping[str, Tensor]) -> None:
        """Undo `trained_state`. Raises RuntimeError if anything else than the frozen part is missing."""
        frozen = self._frozen_prefix()
        kept = {n: t for n, t in self.state_dict().items() if frozen is not None and n.startswith(frozen)}
        self.load_state_dict({**kept, **state})

    def _frozen_prefix(self) -> str | None:
        part = self.representation.frozen_part
        return None if part is None else next(f"{name}." for name, module in self.named_modules() if module is part)


def act(policy: Policy, observations: Mapping[str, np.ndarray], device: torch.device, bf16: bool) -> np.ndarray:
    """Actions (B, A) float32 for stacked observations (B, ...). The policy must be in eval mode.

    An observation's action is the same to the last bit whatever else is in the batch, because a simulator is chaotic:
    otherwise the number of workers would change who succeeds. Matrix products of 1, 2 and 3 rows differ in the last
    bit on a CPU, so there every row is its own call (which costs nothing: one cloud or image already fills a core);
    on a GPU the whole batch is one call of a fixed shape.

    Raises `PolicyDiverged` if an action is not finite.
    """
    rows = len(observations["proprio"])
    if "points_valid" in observations and not observations["points_valid"].any(axis=1).all():
        raise EmptyCloud("nothing is inside the crop: choose other cameras or a wider crop (suite.observation)")
    block = CUDA_ROWS if device.type == "cuda" else 1
    calls = []
    with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=bf16):
        for first in range(0, rows, block):
            index = np.minimum(np.arange(first, first + block), rows - 1)
            batch = {name: torch.from_numpy(array[index]).to(device) for name, array in observations.items()}
            calls.append(policy(batch).float().cpu())
    actions = torch.cat(calls)[:rows].numpy()
    if not np.isfinite(actions).all():
        raise PolicyDiverged(
            "the policy's action is not finite (NaN or infinite): training diverged. Try a smaller "
            "protocol.learning_rate, or look at the loss in the cell's progress.json"
        )
    return actions
