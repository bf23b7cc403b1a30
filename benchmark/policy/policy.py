"""A policy: representation, then head."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from methods.base import Representation

CPU_ROWS = 4
"""On a CPU, rows of a matrix product come out bit for bit the same in any batch whose size is a multiple of 4
(measured for 4 to 32 rows; 1, 2, 3 differ in the last bit, and a chaotic simulator makes that another episode).
Batches are padded to it, so the number of workers cannot change a result."""

CUDA_ROWS = 32
"""On a GPU the kernel is chosen by the batch's shape, so every batch has the same one."""


class PolicyDiverged(ArithmeticError):
    """The policy's output is not finite."""


class Policy(nn.Module):
    """`forward` maps observations (B, ...) to actions (B, A); `from_feature` starts from a ready feature."""

    def __init__(self, representation: Representation, head: nn.Module) -> None:
        super().__init__()
        self.representation = representation
        self.head = head

    def forward(self, observations: Mapping[str, Tensor]) -> Tensor:
        return self.from_feature(self.representation.encode(observations), observations["proprio"])

    def from_feature(self, feature: Tensor, proprio: Tensor) -> Tensor:
        return self.head(feature.float(), proprio)


def act(policy: Policy, observations: Mapping[str, np.ndarray], device: torch.device, bf16: bool) -> np.ndarray:
    """Actions (B, A) float32 for stacked observations (B, ...). The policy must be in eval mode.

    Raises `PolicyDiverged` if an action is not finite.
    """
    rows = len(observations["proprio"])
    block = CUDA_ROWS if device.type == "cuda" else CPU_ROWS
    padded = -(-rows // block) * block
    batch = {}
    for name, array in observations.items():
        if padded > rows:
            array = np.concatenate([array, np.repeat(array[-1:], padded - rows, axis=0)])
        batch[name] = torch.from_numpy(np.ascontiguousarray(array)).to(device)
    with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=bf16):
        actions = policy(batch)[:rows].float().cpu().numpy()
    if not np.isfinite(actions).all():
        raise PolicyDiverged(
            "the policy's action is not finite (NaN or infinite): training diverged. Try a smaller "
            "protocol.learning_rate, or look at the loss in the cell's progress.json"
        )
    return actions
