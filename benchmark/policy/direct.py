"""The shared heads: a condition and proprioception to actions.

`mlp` projects each modality to one width and concatenates them, which is what CLAR's text describes (section III-D:
"features from different modalities are projected to a shared dimensionality before being fused"). `bnmlp` is the
head behind Lift3D's published numbers (maintainer, LIFT3D issue 7): BatchNorm over the raw concatenation.
`diffusion` is in `benchmark.policy.diffusion`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from benchmark.policy.head import Head
from benchmark.settings.head import HeadConfig

ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "selu": nn.SELU}


class DirectHead(Head):
    """One action, by regression."""

    def forward(self, feature: Tensor, proprio: Tensor, language: Tensor | None = None) -> Tensor:
        """(B, feature_dim), (B, S), (B, language_dim) to (B, A)."""
        raise NotImplementedError

    def losses(
        self, condition: Tensor, proprio: Tensor, actions: Tensor, language: Tensor | None = None
    ) -> dict[str, Tensor]:
        target = actions if self.actions is None else self.actions(actions)
        return self.action_losses(self(condition, proprio, language).float(), target)

    def plan(self, condition: Tensor, proprio: Tensor, seeds: Sequence[int], language: Tensor | None = None) -> Tensor:
        found = self(condition, proprio, language)
        return (found if self.actions is None else self.actions.undo(found)).unsqueeze(1)


class MLPHead(DirectHead):
    """Projected modalities side by side, then an MLP. A modality of width 0 is left out."""

    def __init__(
        self, config: HeadConfig, feature_dim: int, proprio_dim: int, action_dim: int, language_dim: int = 0
    ) -> None:
        super().__init__()
        self.project_feature = nn.Linear(feature_dim, config.width) if feature_dim else None
        self.project_proprio = nn.Linear(proprio_dim, config.width)
        self.project_language = nn.Linear(language_dim, config.width) if language_dim else None
        modalities = 1 + bool(feature_dim) + bool(language_dim)
        self.layers = _mlp(modalities * config.width, config, action_dim)

    def forward(self, feature: Tensor, proprio: Tensor, language: Tensor | None = None) -> Tensor:
        parts = [self.project_proprio(proprio)]
        if self.project_feature is not None:
            parts.insert(0, self.project_feature(feature))
        if self.project_language is not None:
            parts.append(self.project_language(language))
        return self.layers(torch.cat(parts, dim=1))


class BatchNormMLPHead(DirectHead):
    """BatchNorm over [feature, proprio, instruction if there is one], then an MLP.

    `input_scale` 0.01 reproduces a slip of Lift3D's code: meant to shrink the last layer, it takes "the last two
    parameters", which are the BatchNorm's weight and bias because that module was registered last.
    """

    def __init__(
        self, config: HeadConfig, feature_dim: int, proprio_dim: int, action_dim: int, language_dim: int = 0
    ) -> None:
        super().__init__()
        self.normalize = nn.BatchNorm1d(feature_dim + proprio_dim + language_dim)
        with torch.no_grad():
            self.normalize.weight.mul_(config.input_scale)
        self.layers = _mlp(feature_dim + proprio_dim + language_dim, config, action_dim)

    def forward(self, feature: Tensor, proprio: Tensor, language: Tensor | None = None) -> Tensor:
        instruction = [] if language is None else [language]
        return self.layers(self.normalize(torch.cat([feature, proprio, *instruction], dim=1)))


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
            if config.compat != "lift3d":  # its mlp.py draws the weights anew and leaves the biases
                nn.init.zeros_(layer.bias)
    return nn.Sequential(*layers)
