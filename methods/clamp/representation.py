"""CLAMP as a representation: its two encoders, frozen, on virtual views and past actions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from envs.spec import FieldSpec
from methods.base import Representation
from methods.card import MethodCard, WeightFile
from methods.clamp.encoder import WIDTH, ActionEncoder, ImageEncoder
from methods.weights import load_strictly, read_tensors

HISTORY = 50
"""Past actions, as many as the paper's policy predicts at once."""


class CLAMP(Representation):
    """Views (B, 5, 224, 224, 4) and past actions (B, 50, A) to (B, 1536): both encoders' pooled outputs.

    Past actions are mapped to [-1, 1] by their range in the training demonstrations; the padding before the first step
    stays zero. A checkpoint brings its own range.
    """

    card = MethodCard(
        name="clamp",
        title="CLAMP",
        summary="ViT over virtual views of the cloud with positions in space, and past actions; frozen",
        kind="3d",
        observes=("views", "views_valid", "past_actions"),
        input=None,
        training="frozen",
        batch="3d",
        paper="CLAMP, arXiv:2602.00937, section III",
        licence="MIT (this code; the authors have published none)",
        parameters=None,
        parameters_source="93.98 M for views; 18.17 M for 14 actions, 7.7 k fewer for each 10 actions less",
        weights=(WeightFile("clamp.pt", None, "none: the authors have published no weights"),),
        past_actions=HISTORY,
        notes=(
            "the cloud is that of the suite's cameras; MetaWorld's fixed views stand at the table's corners",
            "a single arm has one wrist: the second wrist's view is empty",
        ),
    )
    feature_dim = 2 * WIDTH
    token_dim = WIDTH

    def __init__(self, specs: Mapping[str, FieldSpec]) -> None:
        super().__init__(specs)
        steps, size = specs["past_actions"].shape
        self.images = ImageEncoder()
        self.actions = ActionEncoder(steps, size)
        self.low: Tensor
        self.high: Tensor
        self.register_buffer("low", torch.full((size,), -1.0))
        self.register_buffer("high", torch.full((size,), 1.0))
        self.fixed = False

    def load_weights(self, paths: Sequence[Path]) -> None:
        load_strictly(
            self, read_tensors(paths[0]), str(paths[0]), prefixes=("representation.",), ignore=("text", "logit")
        )
        self.fixed = True

    def fit(self, observations: Mapping[str, Tensor]) -> None:
        if not self.fixed:
            past = observations["past_actions"]
            self.low = past.amin((0, 1)).to(self.low.device)
            self.high = past.amax((0, 1)).to(self.high.device)

    def encode_tokens(self, observations: Mapping[str, Tensor]) -> Tensor:
        """(B, 980 + 50, 768): view tokens, then action tokens, before pooling."""
        return torch.cat(self._tokens(observations), dim=1)

    def encode(self, observations: Mapping[str, Tensor]) -> Tensor:
        views, actions = self._tokens(observations)
        return torch.cat([self.images.pool(views), self.actions.pool(actions)], dim=1)

    def _tokens(self, observations: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        views = self.images(observations["views"].float(), observations["views_valid"])
        past = observations["past_actions"]
        scaled = (past - self.low) / (self.high - self.low).clamp(min=1e-6) * 2 - 1
        padding = (past == 0).all(dim=-1, keepdim=True)
        return views, self.actions(scaled.masked_fill(padding, 0.0))
