"""Cayley-STRING: positions in space rotated into queries and keys (CLAMP, section III-C; STRING, Schenck et al. 2025).

q' = P RoPE(r) P^T q with P = (I - S)(I + S)^-1 orthogonal, S antisymmetric, r the token's place in metres. RoPE turns
32 planes of the head by angles that are linear in r. The same P stands left of q' and k' and cancels in their product,
so it is not applied. P and the frequencies are learned.

Silent in the paper, chosen here: one S and one set of frequencies for each head; S starts near zero; a frequency is
a direction in space times base^(-2k/d) times a gain, so that the fastest plane turns once in `PERIOD` metres.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

BASE = 100.0
PERIOD = 0.2


class CayleyString(nn.Module):
    """For one layer: (heads, d (d - 1) / 2) free entries of S and (heads, d / 2, 3) frequencies in rad / m."""

    def __init__(self, heads: int, width: int) -> None:
        super().__init__()
        self.width = width
        self.free = nn.Parameter(torch.randn(heads, width * (width - 1) // 2) * 0.01)
        rate = 2 * math.pi / PERIOD * BASE ** (-torch.arange(0, width, 2) / width)
        direction = nn.functional.normalize(torch.randn(heads, width // 2, 3), dim=-1)
        self.frequency = nn.Parameter(direction * rate.view(1, -1, 1))
        self.upper: Tensor
        self.register_buffer("upper", torch.triu_indices(width, width, 1), persistent=False)

    def orthogonal(self) -> Tensor:
        """P (heads, d, d), in float32 whatever autocast says."""
        with torch.autocast(self.free.device.type, enabled=False):
            skew = self.free.new_zeros(len(self.free), self.width, self.width)
            skew[:, self.upper[0], self.upper[1]] = self.free
            skew = skew - skew.transpose(1, 2)
            identity = torch.eye(self.width, device=skew.device, dtype=skew.dtype)
            return torch.linalg.solve(identity + skew, identity - skew)  # the factors commute

    def rotation(self, positions: Tensor) -> Callable[[Tensor], Tensor]:
        """For positions (B, T, 3) in metres, what maps (B, heads, T, d) to the same with positions in it."""
        angle = torch.einsum("btc,hkc->bhtk", positions, self.frequency)
        cosine, sine = angle.cos(), angle.sin()
        basis = self.orthogonal()

        def rotate(vectors: Tensor) -> Tensor:
            even, odd = (vectors @ basis).unflatten(-1, (-1, 2)).unbind(-1)  # P^T q as a row
            return torch.stack([even * cosine - odd * sine, even * sine + odd * cosine], dim=-1).flatten(-2)

        return rotate
