"""CLAR as a representation: the encoder and its input, from a checkpoint or untrained."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from envs.spec import FieldSpec
from methods.base import Representation
from methods.card import MethodCard, MethodOption, PointInput, WeightFile
from methods.clar.encoder import SMALL, Encoder, EncoderConfig
from methods.preprocess import PointPreprocess
from methods.weights import load_strictly, read_tensors

UNPUBLISHED = WeightFile("clar.pt", None, "none: the authors have published no weights")


class CLAR(Representation):
    """(B, 1024, 3) points in the robot's frame to (B, 768): the class token and the maximum over patch tokens.

    Fine-tuned end to end: the paper does not say whether the encoder is frozen downstream, but its "w/o Pre."
    ablation reaches 65 % (Table V), which a frozen random encoder would not.
    """

    card = MethodCard(
        name="clar",
        title="CLAR",
        summary="point-cloud transformer, pre-trained with masking and alignment to CLIP; fine-tuned",
        kind="3d",
        observes=("points", "points_valid"),
        input=PointInput(1024, "workspace"),
        training="end-to-end",
        batch="3d",
        paper="CLAR, arXiv:2507.08262v2, section III-A",
        licence="MIT (this code; the authors have published none)",
        parameters=21_825_792,
        parameters_source="Point-MAE's encoder, 21,825,024, and a class token with its position",
        weights=(UNPUBLISHED,),
        options=(
            MethodOption(
                "norm", "workspace", ("workspace", "unit_sphere"),
                "unit_sphere normalises every cloud by itself, as Lift3D does, and loses where things are",
            ),
            MethodOption("feature", "cls+max", ("cls+max", "cls"), "what the head sees; silent in the paper"),
        ),
        reported_as="CLAR",
    )  # fmt: skip
    config = EncoderConfig()

    def __init__(self, specs: Mapping[str, FieldSpec], norm: str = "workspace", feature: str = "cls+max") -> None:
        super().__init__(specs)
        assert isinstance(self.card.input, PointInput)
        self.preprocess = PointPreprocess(PointInput(self.card.input.num_points, norm))  # type: ignore[arg-type]
        self.encoder = Encoder(self.config)
        self.feature = feature
        self.token_dim = self.config.width
        self.feature_dim = self.config.width * (2 if feature == "cls+max" else 1)

    def load_weights(self, paths: Sequence[Path]) -> None:
        """`encoder.*` and `preprocess.*` of one checkpoint: a pre-trained encoder keeps its own workspace."""
        tensors = read_tensors(paths[0])
        load_strictly(
            self, tensors, str(paths[0]), prefixes=("representation.",), ignore=("decoder", "teacher", "loss")
        )
        self.preprocess.fixed = True

    def fit(self, observations: Mapping[str, Tensor]) -> None:
        self.preprocess.fit(observations["points"], observations["points_valid"])

    def _tokens(self, observations: Mapping[str, Tensor]) -> Tensor:
        points = self.preprocess(observations["points"], observations["points_valid"])
        return self.encoder(*self.encoder.patches(points))

    def encode(self, observations: Mapping[str, Tensor]) -> Tensor:
        return self.pool(self._tokens(observations))

    def pool(self, tokens: Tensor) -> Tensor:
        """(B, 1 + n, width), class token first, to (B, feature_dim)."""
        if self.feature == "cls":
            return tokens[:, 0]
        return torch.cat([tokens[:, 0], tokens[:, 1:].max(dim=1).values], dim=-1)

    def encode_tokens(self, observations: Mapping[str, Tensor]) -> Tensor:
        """(B, 64, 384) patch tokens."""
        return self._tokens(observations)[:, 1:]


class CLARSmall(CLAR):
    """(B, 1024, 3) points in the robot's frame to (B, 256)."""

    card = dataclasses.replace(
        CLAR.card,
        name="clar-small",
        title="CLAR, small",
        summary="CLAR with 4 blocks of width 128, for machines without a GPU; not the paper's size",
        parameters=844_672,
        parameters_source="counted; no paper has this size",
        reported_as=None,
    )
    config = SMALL
