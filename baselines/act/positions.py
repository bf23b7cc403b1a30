"""Sine positions of tokens in a row and of the cells of a map."""

from __future__ import annotations

import math

import torch
from torch import Tensor

TEMPERATURE = 10_000.0


def _waves(angles: Tensor) -> Tensor:
    """(..., D) angles to their sines at even entries, their cosines at odd ones."""
    return torch.stack([angles[..., 0::2].sin(), angles[..., 1::2].cos()], dim=-1).flatten(-2)


def _periods(width: int, device: torch.device | None) -> Tensor:
    """(width,) float64: 10,000 ** (2 * floor(i / 2) / width)."""
    index = torch.arange(width, dtype=torch.float64, device=device)
    return TEMPERATURE ** (2 * torch.div(index, 2, rounding_mode="floor") / width)


def sine_1d(count: int, width: int, device: torch.device | None = None) -> Tensor:
    """(count, width) float32: of positions 0, 1, ... (Vaswani et al. 2017; `get_sinusoid_encoding_table`)."""
    places = torch.arange(count, dtype=torch.float64, device=device)
    return _waves(places.unsqueeze(1) / _periods(width, device)).float()


def sine_2d(rows: int, columns: int, width: int, device: torch.device | None = None) -> Tensor:
    """(rows * columns, width) float32, row by row: the first half says the row, the second the column.

    Rows and columns count from 1 and are divided by their number, times 2 pi (DETR's `PositionEmbeddingSine` with
    `normalize=True`).
    """
    periods = _periods(width // 2, device)

    def along(count: int) -> Tensor:
        places = torch.arange(1, count + 1, dtype=torch.float64, device=device)
        return _waves((places / (count + 1e-6) * 2 * math.pi).unsqueeze(1) / periods).float()

    down = along(rows).unsqueeze(1).expand(-1, columns, -1)
    across = along(columns).unsqueeze(0).expand(rows, -1, -1)
    return torch.cat([down, across], dim=-1).flatten(0, 1)
