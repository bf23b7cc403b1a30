"""VC-1 (Majumdar et al., NeurIPS 2023) as Lift3D and CLAR use it: the class token of a frozen MAE ViT-B/16.

Preprocessing read in facebookresearch/eai-vc (e782c35): a bicubic resize of the short side to 256, then the central 224
pixels, also for images that are rendered at 224, so the outer 6 % are never seen. Lift3D gives it tensors, so what is
resized is not rounded to whole numbers. The weights are for non-commercial use.
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


def _weights(filename: str) -> tuple[WeightFile, ...]:
    url = f"https://dl.fbaipublicfiles.com/eai-vc/{filename}"
    return (WeightFile(filename, url, "CC-BY-NC-4.0", non_commercial=True),)


class VC1(ImageEncoder):
    """(B, V, 224, 224, 3) uint8 to (B, V * 768)."""

    card = MethodCard(
        name="vc1",
        title="VC-1 ViT-B/16",
        summary="masked autoencoding of egocentric video and ImageNet; frozen",
        kind="2d",
        observes=("rgb",),
        input=ImageInput(224, (0, 1), IMAGENET_MEAN, IMAGENET_STD, resize="short-side", scaled=256),
        training="frozen",
        batch="2d",
        paper="Majumdar et al., VC-1, NeurIPS 2023, arXiv:2303.18240",
        licence="CC-BY-NC-4.0 (weights); this code is MIT",
        parameters=85_798_656,
        parameters_source="timm's vit_base_patch16_224 without its classifier",
        weights=_weights("vc1_vitb.pth"),
        options=(OBSERVE,),
        reported_as="VC-1",
        version=2,
    )
    config = VIT_B16
    network: ClassToken

    def __init__(self, specs: Mapping[str, FieldSpec], observe: str = "rgb") -> None:
        super().__init__(specs, ClassToken(ViT(self.config)), self.config.width, observe)

    def load_weights(self, paths: Sequence[Path]) -> None:
        load_strictly(
            self.network.vit,
            read_tensors(paths[0]),
            str(paths[0]),
            prefixes=("model.",),
            ignore=("decoder", "mask_token", "optimizer", "scaler"),
        )


class VC1ViTL(VC1):
    """(B, V, 224, 224, 3) uint8 to (B, V * 1024)."""

    card = dataclasses.replace(
        VC1.card,
        name="vc1-vitl",
        title="VC-1 ViT-L/16",
        parameters=303_301_632,
        parameters_source="timm's vit_large_patch16_224 without its classifier",
        weights=_weights("vc1_vitl.pth"),
        reported_as=None,
    )
    config = VIT_L16
