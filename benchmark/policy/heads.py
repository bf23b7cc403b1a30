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
from torch.nn import functional

from benchmark.labels import base_of
from benchmark.protocol import DiffusionConfig, HeadConfig

ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "selu": nn.SELU}


class Head(nn.Module):
    """What every head offers to the trainer and to rollouts.

    chunk: actions it is trained to give for one observation; lead: how many of them lie before the present; execute:
    how many from the present on are played before it is asked again; obs_steps: observations it looks at.
    """

    chunk = 1
    lead = 0
    execute = 1
    obs_steps = 1

    def fit(self, actions: Tensor, proprio: Tensor) -> None:
        """Set normalisers from the training data, (T, A) and (T, S). Called once, before training."""

    def loss(self, condition: Tensor, proprio: Tensor, actions: Tensor, language: Tensor | None = None) -> Tensor:
        """Scalar, for targets (B, A), or (B, chunk, A) where chunk > 1. language: (B, D) of the instruction."""
        raise NotImplementedError

    def plan(self, condition: Tensor, proprio: Tensor, seeds: Sequence[int], language: Tensor | None = None) -> Tensor:
        """(B, chunk, A). What is random is drawn from each row's own seed."""
        raise NotImplementedError


class DirectHead(Head):
    """One action, by regression."""

    def forward(self, feature: Tensor, proprio: Tensor, language: Tensor | None = None) -> Tensor:
        """(B, feature_dim), (B, S), (B, language_dim) to (B, A)."""
        raise NotImplementedError

    def loss(self, condition: Tensor, proprio: Tensor, actions: Tensor, language: Tensor | None = None) -> Tensor:
        return functional.mse_loss(self(condition, proprio, language).float(), actions)

    def plan(self, condition: Tensor, proprio: Tensor, seeds: Sequence[int], language: Tensor | None = None) -> Tensor:
        return self(condition, proprio, language).unsqueeze(1)


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
        told = [] if language is None else [language]
        return self.layers(self.normalize(torch.cat([feature, proprio, *told], dim=1)))


DIRECT: dict[str, type[MLPHead] | type[BatchNormMLPHead]] = {"mlp": MLPHead, "bnmlp": BatchNormMLPHead}


def make_head(config: HeadConfig | DiffusionConfig, feature_dim: int, proprio_dim: int, action_dim: int,
              language_dim: int = 0) -> Head:  # fmt: skip
    """feature_dim: width of the pooled feature or of one token, whichever the head is conditioned on.

    language_dim: of an instruction's features, 0 in suites without.
    """
    if isinstance(config, DiffusionConfig):
        from benchmark.policy.diffusion import DiffusionHead

        return DiffusionHead(config, feature_dim, proprio_dim, action_dim, language_dim)
    return DIRECT[base_of(config.name)](config, feature_dim, proprio_dim, action_dim, language_dim)


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
