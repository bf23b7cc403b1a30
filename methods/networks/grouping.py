"""A point-wise layer over neighbourhoods, without computing shared work once for every neighbour.

Set abstraction feeds each neighbour j of centre i the vector [(p_j - c_i) / scale, f_j] through a linear layer. A
linear layer of a difference is a difference of linear layers, so it is applied once to each point and once to each
centre and the results are gathered and subtracted: k times fewer multiplications, and the gathered rows are the
layer's outputs.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from methods.pointops import take


class ChannelsLastBatchNorm(nn.BatchNorm1d):
    """BatchNorm over everything but the last axis: (..., C), as a 1x1 convolution's BatchNorm sees it."""

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input.reshape(-1, input.shape[-1])).view(input.shape)


class PointwiseMLP(nn.Sequential):
    """Linear, BatchNorm, ReLU for each width: (..., widths[0]) to (..., widths[-1])."""

    def __init__(self, widths: tuple[int, ...], bias: bool, last_relu: bool = True) -> None:
        layers: list[nn.Module] = []
        for index, (inputs, outputs) in enumerate(pairwise(widths)):
            layers += [nn.Linear(inputs, outputs, bias=bias), ChannelsLastBatchNorm(outputs)]
            if last_relu or index < len(widths) - 2:
                layers.append(nn.ReLU())
        super().__init__(*layers)

    @property
    def first(self) -> nn.Linear:
        layer = self[0]
        assert isinstance(layer, nn.Linear)
        return layer

    def after_first(self, hidden: Tensor) -> Tensor:
        for layer in list(self)[1:]:
            hidden = layer(hidden)
        return hidden


def grouped_mlp(
    mlp: PointwiseMLP, points: Tensor, features: Tensor | None, centers: Tensor, index: Tensor, scale: float = 1.0
) -> Tensor:
    """mlp([(p_j - c_i) / scale, f_j]) for every neighbour j of every centre i.

    points (B, N, 3), features (B, N, C) or None, centers (B, S, 3), index (B, S, k); gives (B, S, k, widths[-1]).
    """
    weight, bias = mlp.first.weight, mlp.first.bias
    position = weight[:, :3] / scale
    if features is None:  # nothing to share but three coordinates: gather those
        offsets = take(points, index) - centers.unsqueeze(2)
        return mlp.after_first(nn.functional.linear(offsets, position, bias))
    whole = torch.cat([points, features], dim=-1)
    at_points = nn.functional.linear(whole, torch.cat([position, weight[:, 3:]], dim=1), bias)
    at_centers = nn.functional.linear(centers, position)
    return mlp.after_first(take(at_points, index) - at_centers.unsqueeze(2))
