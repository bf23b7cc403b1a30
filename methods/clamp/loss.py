"""SigLIP's loss between two modalities (CLAMP, eqs 1 to 3; Zhai et al. 2023).

loss = -(1 / B) sum_i sum_j log sigmoid(l_ij (t x_i . y_j + b)) with l = 1 for pairs and -1 otherwise.

CLAMP prints 1 / (1 + exp(l (-t x . y + b))), as SigLIP's paper does. That is the loss above with -b for b: started at
the printed b = -10 it takes every pair for a match, so that a batch of B begins at a loss of 10 (B - 1) in place of 10
(a test shows both). Big Vision, with which the paper trains, computes the loss above.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

SIGNS = ("siglip", "as_printed")
SCALES = ("shared", "pair")


def siglip(left: Tensor, right: Tensor, scale: Tensor, bias: Tensor, sign: str = "siglip") -> Tensor:
    """Unit vectors (B, D) and (B, D), of which row i and row i belong together, to a scalar. scale: t; bias: b."""
    matches = left @ right.T * scale + (-bias if sign == "as_printed" else bias)
    labels = 2 * torch.eye(len(matches), device=matches.device, dtype=matches.dtype) - 1
    return -functional.logsigmoid(labels * matches).sum(dim=1).mean()


class Scales(nn.Module):
    """t = exp(t') and b, learned: one of each for all pairs of modalities, or for each pair its own."""

    def __init__(self, count: int, scales: str = "shared", temperature: float = 10.0, bias: float = -10.0) -> None:
        super().__init__()
        size = count if scales == "pair" else 1
        self.log_scale = nn.Parameter(torch.full((size,), math.log(temperature)))
        self.bias = nn.Parameter(torch.full((size,), bias))

    def of(self, pair: int) -> tuple[Tensor, Tensor]:
        """t and b of a pair by its number."""
        number = pair % len(self.bias)
        return self.log_scale[number].exp(), self.bias[number]
