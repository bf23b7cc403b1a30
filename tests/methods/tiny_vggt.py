"""VGGT over a stand-in for its authors' network, which is not on PyPI: same interface, a thousandth of the size."""

import dataclasses
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from baselines.vggt import CHANNELS, VGGT
from envs.spec import FieldSpec


class StandIn(nn.Module):
    """(B, 3, H, W) to (B, 128, H / 2, W / 2)."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, CHANNELS, 2, 2)
        self.normalize = nn.BatchNorm2d(CHANNELS)

    def forward(self, images: Tensor) -> Tensor:
        return torch.tanh(self.normalize(self.convolution(images)))


class TinyVGGT(VGGT):
    card = dataclasses.replace(VGGT.card, name="tiny-vggt", reported_as=None)

    def __init__(self, specs: Mapping[str, FieldSpec], map: str = "32") -> None:
        super().__init__(specs, map, StandIn())
