"""CLAR as a representation: the encoder and its input, from a checkpoint or untrained."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from envs.spec import FieldSpec
from methods.base import Representation
from methods.card import FixedPointInput, MethodCard, MethodOption, WeightFile
from methods.clar.encoder import SMALL, Encoder, EncoderConfig
from methods.errors import BadWeights
from methods.preprocess import BUFFERS, PointPreprocess
from methods.weights import load_strictly, read_tensors

UNPUBLISHED = WeightFile("clar.pt", None, "none: the authors have published no weights")

NORMS = ("fixed", "task", "unit_sphere", "workspace")
"""How clouds are normalised (`methods.card.PointInput`); docs/clar.md says why, and when each is meant."""

INPUT = FixedPointInput(1024, "fixed", center=(0.0, 0.6, 0.35), half_width=0.6)
"""The cube that MetaWorld's clouds lie in: x from -0.6 to 0.6 and y from 0.3 to 0.9 by its crop, z from 0 to 0.7 in
what is seen of 16 tasks. The same numbers for every task, suite and pre-training, or pre-trained rows and those without
would not see alike. Robot frame, the robot looking along +y. Other robots' workspaces are elsewhere and stay there (a
Panda's, turned by `yaw=90`, within 2 half-widths of the middle): a place means the same in all data."""


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
        input=INPUT,
        training="end-to-end",
        batch="3d",
        paper="CLAR, arXiv:2507.08262v2, section III-A",
        licence="MIT (this code; the authors have published none)",
        parameters=21_825_792,
        parameters_source="Point-MAE's encoder, 21,825,024, and a class token with its position",
        weights=(UNPUBLISHED,),
        options=(
            MethodOption(
                "norm",
                "fixed",
                NORMS,
                "fixed: one centre and scale for everything; task: fitted on each task's training clouds; unit_sphere: "
                "each cloud by itself, as Lift3D does, which loses where things are; workspace: older checkpoints' own",
            ),
            MethodOption("feature", "cls+max", ("cls+max", "cls"), "what the head sees; silent in the paper"),
        ),
        reported_as="CLAR",
    )
    config = EncoderConfig()

    def __init__(self, specs: Mapping[str, FieldSpec], norm: str = "fixed", feature: str = "cls+max") -> None:
        super().__init__(specs)
        assert isinstance(self.card.input, FixedPointInput)
        self.norm = norm
        self.preprocess = PointPreprocess(dataclasses.replace(self.card.input, normalization=norm))  # type: ignore[arg-type]
        self.encoder = Encoder(self.config)
        self.feature = feature
        self.token_dim = self.config.width
        self.feature_dim = self.config.width * (2 if feature == "cls+max" else 1)

    def load_weights(self, paths: Sequence[Path]) -> None:
        """`encoder.*` and `preprocess.*` of one checkpoint, pre-trained with the same `norm` as is asked for here.

        With `workspace` the range that is in the checkpoint is kept; with `task` the range is fitted anew. Raises
        `BadWeights` for another norm, or `fixed` with other numbers, and names the option that mends it.
        """
        tensors = read_tensors(paths[0])
        self._check_norm(tensors, str(paths[0]))
        load_strictly(
            self, tensors, str(paths[0]), prefixes=("representation.",), ignore=("decoder", "teacher", "loss")
        )
        self.preprocess.kept = self.norm == "workspace"

    def _check_norm(self, tensors: Mapping[str, Tensor], source: str) -> None:
        found = {name.removeprefix("representation."): tensor for name, tensor in tensors.items()}
        if not any(name.startswith("encoder.") for name in found):
            return  # another method's file: the names that are missing say so
        norm = next((n for name, n in BUFFERS.items() if f"preprocess.{name}" in found), "unit_sphere")
        if norm != self.norm:
            kept = " (the range of its training clouds is in it)" if norm == "workspace" else ""
            raise BadWeights(
                f"{source} was pre-trained with norm={norm}{kept}, and this is norm={self.norm}: its encoder would see "
                f"clouds other than in pre-training. Give method.norm={norm}, for the rows it is compared with too"
            )
        for name in ("center", "half_width"):
            stored = found.get(f"preprocess.{name}")
            if norm == "fixed" and (stored is None or not torch.equal(stored, self.preprocess.get_buffer(name))):
                raise BadWeights(f"{source} was pre-trained with norm=fixed and another {name} than {INPUT}")

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
