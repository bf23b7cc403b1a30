"""LoRA on the attention of CLIP's blocks, as Lift3D has it (PKU-HMI-Lab/LIFT3D b0cff85, clip_loralib.py).

Rank 2, alpha 1, scaled by alpha / sqrt(rank), dropout 0.25 on what enters the update.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from methods.networks.clip import SelfAttention

RANK, ALPHA, DROPOUT = 2, 1.0, 0.25
SCALING = ALPHA / math.sqrt(RANK)


class LoRAAttention(SelfAttention):
    """Self-attention with a low-rank update of q, k and v. The weight is frozen, its bias is trained."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__(width, heads)
        self.lora_a = nn.Parameter(torch.empty(3, RANK, width))
        self.lora_b = nn.Parameter(torch.zeros(3, width, RANK))
        for matrix in self.lora_a:  # one by one: all three as one tensor would have twice the fan-in
            nn.init.kaiming_uniform_(matrix, a=math.sqrt(5))

    def project(self, tokens: Tensor) -> Tensor:
        # each of q, k and v drops its own inputs
        low = [functional.linear(functional.dropout(tokens, DROPOUT, self.training), a) for a in self.lora_a]
        update = [functional.linear(x, b) for x, b in zip(low, self.lora_b, strict=True)]
        return super().project(tokens) + SCALING * torch.cat(update, dim=-1)
