"""SPA (Zhu et al., ICLR 2025) as Lift3D and CLAR use it: the class token of a frozen ViT-B/16.

CLAR lists it among the 3D representations for how it was trained (by rendering); what it sees is an image. Facts
read in HaoyiZhu/SPA (37b7e04). Its README warns that feature maps differ between torch versions, cause unknown:
`bench verify spa --against FILE` shows whether yours do.

Its transform scales the short side to 224 (bicubic, on tensors) and cuts nothing, so its own network stops at an image
that is not square; of such an image the central square is taken here.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

from baselines.images import IMAGENET_MEAN, IMAGENET_STD, OBSERVE, ClassToken, ImageEncoder
from envs.spec import FieldSpec
from methods.card import ImageInput, MethodCard, WeightFile
from methods.networks.vit import VIT_B16, VIT_L16, ViT
from methods.weights import load_strictly, read_tensors

BACKBONE = "model.img_backbone."
UNUSED = ("decoder", "head", "upsample", "mask", "readout")
"""Parts of the backbone that only its training used."""


def _weights(filename: str) -> tuple[WeightFile, ...]:
    url = f"https://huggingface.co/HaoyiZhu/SPA/resolve/main/{filename}"
    return (WeightFile(filename, url, "MIT", note="3 to 4 GB, of which only the encoder is read"),)


class SPA(ImageEncoder):
    """(B, V, 224, 224, 3) uint8 to (B, V * 768)."""

    card = MethodCard(
        name="spa",
        title="SPA ViT-B/16",
        summary="neural rendering of multi-view images; frozen",
        kind="2d",
        observes=("rgb",),
        input=ImageInput(224, (0, 1), IMAGENET_MEAN, IMAGENET_STD, resize="short-side"),
        training="frozen",
        batch="2d",
        paper="Zhu et al., SPA, ICLR 2025, arXiv:2410.08208",
        licence="MIT",
        parameters=85_798_656,
        parameters_source="timm's vit_base_patch16_224 without its classifier",
        weights=_weights("spa-b.safetensors"),
        options=(OBSERVE,),
        reported_as="SPA",
        version=2,
        notes=("CLAR calls it a 3D representation; its input is an image",),
    )
    config = VIT_B16
    network: ClassToken

    def __init__(self, specs: Mapping[str, FieldSpec], observe: str = "rgb") -> None:
        super().__init__(specs, ClassToken(ViT(self.config)), self.config.width, observe)

    def load_weights(self, paths: Sequence[Path]) -> None:
        tensors = read_tensors(paths[0], prefixes=(BACKBONE,))
        backbone = {name.removeprefix("state_dict."): tensor for name, tensor in tensors.items()}
        backbone = {
            name: tensor
            for name, tensor in backbone.items()
            if name.startswith(BACKBONE) and not any(part in name for part in UNUSED)
        }
        load_strictly(self.network.vit, backbone, str(paths[0]), prefixes=(BACKBONE,))


class SPAViTL(SPA):
    """(B, V, 224, 224, 3) uint8 to (B, V * 1024)."""

    card = dataclasses.replace(
        SPA.card,
        name="spa-vitl",
        title="SPA ViT-L/16",
        parameters=303_301_632,
        parameters_source="timm's vit_large_patch16_224 without its classifier",
        weights=_weights("spa-l.safetensors"),
        reported_as=None,
    )
    config = VIT_L16
