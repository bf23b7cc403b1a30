"""CLIP (Radford et al., ICML 2021) as Lift3D and CLAR use it: the projected class token of the image tower, frozen.

Architecture, preprocessing and weights: openai/CLIP d05afc4. Its transform works on PIL's images: the short side
becomes 224 (bicubic), then the central 224 pixels are cut out; an image of 224 x 224 stays as it is.
The feature is not normalised (Lift3D, clip_*.yaml).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

from baselines.images import OBSERVE, ImageEncoder
from envs.spec import FieldSpec
from methods.card import ImageInput, MethodCard, MethodOption
from methods.clip_layout import MEAN, OPENAI_VIT_B16, OPENAI_VIT_B32, STD, split_towers
from methods.networks.clip import VIT_B16, VIT_B32, VisionTower
from methods.weights import load_strictly, read_tensors

COMPAT = MethodOption(
    "compat",
    "none",
    ("none", "lift3d"),
    "lift3d: pixels 0..255 normalised as if they were 0..1, as Lift3D's CLIP adapter does",
)


class CLIP(ImageEncoder):
    """(B, V, 224, 224, 3) uint8 to (B, V * 512)."""

    card = MethodCard(
        name="clip",
        title="CLIP ViT-B/32",
        summary="images and captions contrasted; frozen",
        kind="2d",
        observes=("rgb",),
        input=ImageInput(224, (0, 1), MEAN, STD, resize="short-side", rounded=True),
        training="frozen",
        batch="2d",
        paper="Radford et al., CLIP, ICML 2021, arXiv:2103.00020",
        licence="MIT",
        parameters=87_849_216,
        parameters_source="counted in openai/CLIP's visual tower with its projection",
        weights=(OPENAI_VIT_B32,),
        options=(COMPAT, OBSERVE),
        reported_as="CLIP",
        version=2,
    )
    config = VIT_B32

    def __init__(self, specs: Mapping[str, FieldSpec], compat: str = "none", observe: str = "rgb") -> None:
        super().__init__(specs, VisionTower(self.config), self.config.embed, observe)
        if compat == "lift3d":
            self.image_input = dataclasses.replace(self.image_input, pixel_range=(0, 255))

    def load_weights(self, paths: Sequence[Path]) -> None:
        image, _ = split_towers(read_tensors(paths[0]), self.config)
        load_strictly(self.network, image, str(paths[0]))


class CLIPViTB16(CLIP):
    """(B, V, 224, 224, 3) uint8 to (B, V * 512)."""

    card = dataclasses.replace(
        CLIP.card,
        name="clip-vitb16",
        title="CLIP ViT-B/16",
        parameters=86_192_640,
        weights=(OPENAI_VIT_B16,),
        reported_as=None,
    )
    config = VIT_B16
