"""The shared heads: feature and proprioception to one action.

`mlp` projects each modality to one width and concatenates them, which is what CLAR's text describes (section III-D:
"features from different modalities are projected to a shared dimensionality before being fused"). `bnmlp` is the
head behind Lift3D's published numbers (maintainer, LIFT3D issue 7): BatchNorm over the raw concatenation.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from benchmark.protocol import HeadConfig

ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "selu": nn.SELU}


class MLPHead(nn.Module):
    """Projected modalities side by side, then an MLP. A modality of width 0 is left out."""

    def __init__(self, config: HeadConfig, feature_dim: int, proprio_dim: int, action_dim: int) -> None:
        super().__init__()
        self.project_feature = nn.Linear(feature_dim, config.width) if feature_dim else None
        self.project_proprio = nn.Linear(proprio_dim, config.width)
        modalities = 2 if feature_dim else 1
        self.layers = _mlp(modalities * config.width, config, action_dim)

    def forward(self, feature: Tensor, proprio: Tensor) -> Tensor:
        """(B, feature_dim), (B, S) to (B, A)."""
        parts = [self.project_proprio(proprio)]
        if self.project_feature is not None:
            parts.insert(0, self.project_feature(feature))
        return self.layers(torch.cat(parts, dim=1))


class BatchNormMLPHead(nn.Module):
    """BatchNorm over [feature, proprio], then an MLP.

    `input_scale` 0.01 reproduces a slip of Lift3D's code: meant to shrink the last layer, it takes "the last two
    parameters", which are the BatchNorm's weight and bias because that module was registered last.
    """

    def __init__(self, config: HeadConfig, feature_dim: int, proprio_dim: int, action_dim: int) -> None:
        super().__init__()
        self.normalize = nn.BatchNorm1d(feature_dim + proprio_dim)
        with torch.no_grad():
            self.normalize.weight.mul_(config.input_scale)
        self.layers = _mlp(feature_dim + proprio_dim, config, action_dim)

    def forward(self, feature: Tensor, proprio: Tensor) -> Tensor:
        """(B, feature_dim), (B, S) to (B, A)."""
        return self.layers(self.normalize(torch.cat([feature, proprio], dim=1)))


HEADS: dict[str, type[MLPHead] | type[BatchNormMLPHead]] = {"mlp": MLPHead, "bnmlp": BatchNormMLPHead}


def make_head(config: HeadConfig, feature_dim: int, proprio_dim: int, action_dim: int) -> nn.Module:
    return HEADS[config.name](config, feature_dim, proprio_dim, action_dim)


def _mlp(inputs: int, config: HeadConfig, outputs: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for width in config.hidden:
        layers += [nn.Linear(inputs, width), ACTIVATIONS[config.activation]()]
        inputs = width
    layers.append(nn.Linear(inputs, outputs))
    if config.init == "orthogonal":
        linear = [layer for layer in layers if isinstance(layer, nn.Linear)]
        for layer in linear:
            nn.init.orthogonal_(layer.weight, 0.01 if layer is linear[-1] else math.sqrt(2))
            nn.init.zeros_(layer.bias)
    return nn.Sequential(*layers)
