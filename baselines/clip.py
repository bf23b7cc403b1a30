"""CLIP (Radford et al., ICML 2021) as Lift3D and CLAR use it: the projected class token of the image tower, frozen.

Architecture, preprocessing and weights: openai/CLIP d05afc4. The feature is not normalised (Lift3D, clip_*.yaml).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from baselines.images import ImageEncoder
from envs.spec import FieldSpec
from methods.card import ImageInput, MethodCard, MethodOption, WeightFile
from methods.errors import BadWeights
from methods.networks.clip import VIT_B16, VIT_B32, CLIPConfig, TextTower, VisionTower
from methods.weights import load_strictly, read_tensors

MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)
LICENCE = "MIT (code and weights' repository); OpenAI's model card: research, deployment out of scope"
PUBLISHER = "https://openaipublic.azureedge.net/clip/models"
COMPAT = MethodOption(
    "compat", "none", ("none", "lift3d"),
    "lift3d: pixels 0..255 normalised as if they were 0..1, as Lift3D's CLIP adapter does",
)  # fmt: skip


def split_towers(tensors: Mapping[str, Tensor], config: CLIPConfig) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Image and text tower of an OpenAI checkpoint. Raises `BadWeights` if a key belongs to neither."""
    with torch.device("meta"):
        text_keys = set(TextTower(config).state_dict())
    facts = {"logit_scale", "input_resolution", "context_length", "vocab_size"}
    image = {name.removeprefix("visual."): t for name, t in tensors.items() if name.startswith("visual.")}
    text = {name: t for name, t in tensors.items() if name in text_keys}
    rest = sorted(set(tensors) - text_keys - facts - {f"visual.{name}" for name in image})
    if rest:
        raise BadWeights(f"not OpenAI's CLIP layout: {len(rest)} unknown keys ({', '.join(rest[:3])})")
    return image, text


class CLIP(ImageEncoder):
    """(B, V, 224, 224, 3) uint8 to (B, V * 512)."""

    card = MethodCard(
        name="clip",
        title="CLIP ViT-B/32",
        summary="images and captions contrasted; frozen",
        kind="2d",
        observes=("rgb",),
        input=ImageInput(224, (0, 1), MEAN, STD, resize="resize"),
        training="frozen",
        batch="2d",
        paper="Radford et al., CLIP, ICML 2021, arXiv:2103.00020",
        licence="MIT",
        parameters=87_849_216,
        parameters_source="counted in openai/CLIP's visual tower with its projection",
        weights=(
            WeightFile(
                "ViT-B-32.pt",
                f"{PUBLISHER}/40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af/ViT-B-32.pt",
                LICENCE,
                sha256="40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af",
            ),
        ),
        options=(COMPAT,),
        reported_as="CLIP",
    )
    config = VIT_B32

    def __init__(self, specs: Mapping[str, FieldSpec], compat: str = "none") -> None:
        super().__init__(specs, VisionTower(self.config), self.config.embed)
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
        weights=(
            WeightFile(
                "ViT-B-16.pt",
                f"{PUBLISHER}/5806e77cd80f8b59890b7e101eabd078d9fb84e6937f9e85e4ecb61988df416f/ViT-B-16.pt",
                LICENCE,
                sha256="5806e77cd80f8b59890b7e101eabd078d9fb84e6937f9e85e4ecb61988df416f",
            ),
        ),
        reported_as=None,
    )
    config = VIT_B16
