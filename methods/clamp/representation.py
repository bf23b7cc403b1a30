"""CLAMP as a representation: its two encoders, frozen, on virtual views and past actions."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

from envs.errors import SpecMismatch
from envs.spec import FieldSpec
from envs.view_layouts import FIVE, LAYOUTS
from methods.base import Representation
from methods.card import MethodCard, MethodOption, WeightFile
from methods.clamp import text
from methods.clamp.encoder import PAPER, SMALL, ActionEncoder, EncoderConfig, ImageEncoder
from methods.clamp.points import PointEncoder
from methods.clamp.text import TextConfig
from methods.errors import BadWeights
from methods.weights import load_strictly, read_tensors

HISTORY = 50
"""Past actions, as many as the paper's policy predicts at once."""
FIXED_VIEWS = 3
"""Of the five, which stand first: overhead and from two corners. The two others are the wrists'."""
OPTIONS = (
    MethodOption(
        "views",
        "five",
        ("five", "fixed"),
        "fixed: the overhead and the two corners' views alone, without the wrists' (CLAMP, Table III)",
    ),
    MethodOption(
        "layout",
        FIVE,
        tuple(LAYOUTS),
        "which virtual views are drawn (envs/view_layouts.py); orthogonal, dome: CLAMP, Tables III and IV",
        changes=tuple((name, "layout", name) for name in LAYOUTS if name != FIVE),
    ),
    MethodOption("image", "vit", ("vit", "dp3"), "dp3: DP3's point encoder in the ViT's place (CLAMP, Table III)"),
    MethodOption(
        "string", "true", ("true", "false"), "false: without STRING in the ViT's attention (CLAMP, Table III)"
    ),
    MethodOption(
        "frozen",
        "true",
        ("true", "false"),
        "false: both encoders are trained with the policy (CLAMP, Table III)",
        changes=(("false", "training", "end-to-end"),),
    ),
)


def check_together(options: Mapping[str, str]) -> None:
    """Raises `SpecMismatch` for two options that are not to be had at once."""
    layout = options.get("layout", FIVE)
    if layout != FIVE and options.get("views") == "fixed":
        raise SpecMismatch(f"views=fixed leaves the wrists' views out, and layout={layout} has none: give one of them")
    if options.get("image") == "dp3" and options.get("string") == "false":
        raise SpecMismatch("string=false is of the ViT, and image=dp3 has none: give one of them")


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
        options=OPTIONS,
        notes=(
            "the cloud is that of the suite's cameras; MetaWorld's fixed views stand at the table's corners",
            "a single arm has one wrist: the second wrist's view is empty",
        ),
    )
    config: ClassVar[EncoderConfig] = PAPER
    text_config: ClassVar[TextConfig] = text.PAPER
    """Of the text encoder beside it in pre-training, which policies do not see."""

    def __init__(
        self,
        specs: Mapping[str, FieldSpec],
        views: str = "five",
        string: str = "true",
        frozen: str = "true",
        layout: str = FIVE,
        image: str = "vit",
    ) -> None:
        super().__init__(specs)
        steps, size = specs["past_actions"].shape
        config = dataclasses.replace(self._config_of(layout, views), string=string == "true")
        self.images: ImageEncoder | PointEncoder
        if image == "dp3":
            self.images, count = PointEncoder(config.width, config.views, config.size), 1
        else:
            self.images, count = ImageEncoder(config), config.tokens
        self.actions = ActionEncoder(steps, size, config)
        self.token_dim, self.feature_dim = config.width, 2 * config.width
        self.token_count = count + steps
        self.low: Tensor
        self.high: Tensor
        self.register_buffer("low", torch.full((size,), -1.0))
        self.register_buffer("high", torch.full((size,), 1.0))
        self.fixed = False

    @classmethod
    def under(cls, options: Mapping[str, str]) -> type[Representation]:
        """Raises `SpecMismatch` for two options that are not to be had at once."""
        check_together(options)
        return super().under(options)

    @classmethod
    def _config_of(cls, layout: str, views: str) -> EncoderConfig:
        """With how many views are seen, and their pixels."""
        if layout != FIVE:
            return dataclasses.replace(cls.config, views=len(LAYOUTS[layout].tiles), size=LAYOUTS[layout].size)
        return dataclasses.replace(cls.config, views=FIXED_VIEWS) if views == "fixed" else cls.config

    @classmethod
    def _seen_by(cls, tokens: int) -> dict[str, str]:
        """The options whose views are so many tokens; of layouts with as many the first. Nothing says more of a file
        by itself (`benchmark.experiment.pretrained_views` reads its card).
        """
        for layout, views in ((FIVE, "five"), (FIVE, "fixed"), *((name, "five") for name in LAYOUTS if name != FIVE)):
            if cls._config_of(layout, views).tokens == tokens:
                return {"layout": layout, "views": views}
        return {}

    def load_weights(self, paths: Sequence[Path]) -> None:
        """`images.*`, `actions.*` and the range of actions of one checkpoint. Raises `BadWeights`."""
        self.load_tensors(read_tensors(paths[0]), str(paths[0]))

    def load_tensors(self, tensors: Mapping[str, Tensor], source: str) -> None:
        """As `load_weights`, from tensors by their dotted names; `representation.` may stand before them."""
        self._check_sizes(tensors, source)
        load_strictly(self, tensors, source, prefixes=("representation.",), ignore=("text", "logit"))
        self.fixed = True

    def _check_sizes(self, tensors: Mapping[str, Tensor], source: str) -> None:
        """Say in a word what many shapes would say in many: another size of CLAMP, another variation of it, another
        robot's actions.
        """
        found = {name.removeprefix("representation."): tensor for name, tensor in tensors.items()}
        patches, embed = found.get("images.patch_embed.proj.weight"), found.get("actions.embed.weight")
        points = found.get("images.projection.0.weight")
        if embed is None or embed.dim() != 2 or (points is None and (patches is None or patches.dim() != 4)):
            return  # another method's file: the names that are missing say so
        there, here = {"image": "vit" if points is None else "dp3"}, {"image": "dp3"}
        sizes: list[tuple[int, ...]] = [(embed.shape[0],), (self.token_dim,)]
        if isinstance(self.images, ImageEncoder):
            here = {"image": "vit"}
            if patches is not None and points is None:
                sizes = [(len(one), one.shape[-1]) for one in (patches, self.images.patch_embed.proj.weight)]
                there["string"] = str("images.string.0.free" in found).lower()
                here["string"] = str(len(self.images.string) > 0).lower()
            placed = found.get("images.pos_embed")
            if placed is not None and placed.dim() == 3:
                there |= self._seen_by(placed.shape[-2])
                here |= self._seen_by(self.images.pos_embed.shape[-2])
        if sizes[0] != sizes[1]:
            has, mine = " with patches of ".join(map(str, sizes[0])), " with ".join(map(str, sizes[1]))
            raise BadWeights(
                f"{source} holds CLAMP encoders of width {has}{' pixels' * (len(sizes[0]) > 1)}, and {self.card.name} "
                f"has width {mine}: give --method the size that it was pre-trained as"
            )
        for option, value in there.items():
            if here.get(option, value) != value:
                raise BadWeights(f"{source} was pre-trained with {option}={value}: give method.{option}={value}")
        if embed.shape[1] != (size := len(self.low)):
            raise BadWeights(
                f"{source} was pre-trained on actions of {embed.shape[1]} numbers, and this robot's have {size}: its "
                "action encoder cannot read them; pre-train on demonstrations of this robot"
            )

    def fit(self, observations: Mapping[str, Tensor]) -> None:
        if not self.fixed:
            past = observations["past_actions"]
            self.low = past.amin((0, 1)).to(self.low.device)
            self.high = past.amax((0, 1)).to(self.high.device)

    def encode_tokens(self, observations: Mapping[str, Tensor]) -> Tensor:
        """(B, 980 + 50, 768): view tokens, then action tokens, before pooling."""
        return torch.cat([self.view_tokens(observations), self.action_tokens(observations)], dim=1)

    def encode(self, observations: Mapping[str, Tensor]) -> Tensor:
        return torch.cat([self.encode_views(observations), self.encode_actions(observations)], dim=1)

    def encode_views(self, observations: Mapping[str, Tensor]) -> Tensor:
        """(B, D): the views, pooled."""
        return self.images.pool(self.view_tokens(observations))

    def encode_actions(self, observations: Mapping[str, Tensor]) -> Tensor:
        """(B, D): past actions, pooled."""
        return self.actions.pool(self.action_tokens(observations))

    def view_tokens(self, observations: Mapping[str, Tensor]) -> Tensor:
        return self.images(observations["views"].float(), observations["views_valid"])

    def action_tokens(self, observations: Mapping[str, Tensor]) -> Tensor:
        past = observations["past_actions"]
        scaled = (past - self.low) / (self.high - self.low).clamp(min=1e-6) * 2 - 1
        padding = (past == 0).all(dim=-1, keepdim=True)
        return self.actions(scaled.masked_fill(padding, 0.0))


class CLAMPSmall(CLAMP):
    """Views (B, 5, 224, 224, 4) and past actions (B, 50, A) to (B, 256)."""

    card = dataclasses.replace(
        CLAMP.card,
        name="clamp-small",
        title="CLAMP, small",
        summary="CLAMP with 4 blocks of width 128, for machines without a GPU; not the paper's size",
        parameters_source="1.56 M for views; 0.47 M for 4 actions; no paper has this size",
    )
    config = SMALL
    text_config = text.SMALL
