"""R3M (Nair et al., CoRL 2022) as Lift3D and CLAR use it: the averaged last map of a frozen ResNet-34.

Preprocessing and key layout read in facebookresearch/r3m (b2334e7). Its module takes pixels in 0..255, divides by
255 and applies ImageNet's mean and deviation, which is what the card says here. Images of 224 x 224 it takes as they
are, and so does Lift3D; of others the short side becomes 256 (bilinear) and the central 224 pixels are cut out. (The
authors' example does that to every image, also to one of 224.)
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

from baselines.images import IMAGENET_MEAN, IMAGENET_STD, OBSERVE, ImageEncoder
from envs.spec import FieldSpec
from methods.card import ImageInput, MethodCard, MethodOption, WeightFile
from methods.networks.resnet import ResNet
from methods.weights import load_strictly, read_tensors

COMPAT = MethodOption(
    "compat",
    "none",
    ("none", "lift3d"),
    "lift3d: BatchNorm in training mode while the policy trains, so the 'frozen' encoder's statistics move",
    changes=(("lift3d", "training", "partial"),),
)


def _weights(google_drive: str) -> tuple[WeightFile, ...]:
    url = f"https://drive.usercontent.google.com/download?id={google_drive}&export=download&confirm=t"
    return (WeightFile("model.pt", url, "MIT", note="the authors' Google Drive; the publisher states no checksum"),)


class R3M(ImageEncoder):
    """(B, V, 224, 224, 3) uint8 to (B, V * 512)."""

    card = MethodCard(
        name="r3m",
        title="R3M ResNet-34",
        summary="time contrast and language on human video; frozen",
        kind="2d",
        observes=("rgb",),
        input=ImageInput(
            224,
            (0, 1),
            IMAGENET_MEAN,
            IMAGENET_STD,
            resize="short-side",
            scaled=256,
            interpolation="bilinear",
            keeps_size=True,
        ),
        training="frozen",
        batch="2d",
        paper="Nair et al., R3M, CoRL 2022, arXiv:2203.12601",
        licence="MIT",
        parameters=21_284_672,
        parameters_source="torchvision's resnet34 without its classifier",
        weights=_weights("15bXD3QRhspIRacOKyWPw5y2HpoWUCEnE"),
        options=(COMPAT, OBSERVE),
        reported_as="R3M",
        version=2,
    )
    depth = 34

    def __init__(self, specs: Mapping[str, FieldSpec], compat: str = "none", observe: str = "rgb") -> None:
        network = ResNet(self.depth)
        super().__init__(specs, network, network.feature_dim, observe)
        if compat == "lift3d":
            self.card = dataclasses.replace(self.card, training="partial")  # type: ignore[misc]

    def load_weights(self, paths: Sequence[Path]) -> None:
        load_strictly(
            self.network,
            read_tensors(paths[0]),
            str(paths[0]),
            prefixes=("r3m.module.convnet.", "module.convnet.", "r3m.convnet.", "convnet."),
            ignore=("lang_enc", "lang_rew"),
        )


class R3MResNet18(R3M):
    """(B, V, 224, 224, 3) uint8 to (B, V * 512)."""

    card = dataclasses.replace(
        R3M.card,
        name="r3m-resnet18",
        title="R3M ResNet-18",
        parameters=11_176_512,
        parameters_source="torchvision's resnet18 without its classifier",
        weights=_weights("1A1ic-p4KtYlKXdXHcV2QV0cUzI4kn0u-"),
        reported_as=None,
    )
    depth = 18


class R3MResNet50(R3M):
    """(B, V, 224, 224, 3) uint8 to (B, V * 2048)."""

    card = dataclasses.replace(
        R3M.card,
        name="r3m-resnet50",
        title="R3M ResNet-50",
        parameters=23_508_032,
        parameters_source="torchvision's resnet50 without its classifier",
        weights=_weights("1Xu0ssuG0N1zjZS54wmWzJ7-nb0-7XzbA"),
        reported_as=None,
    )
    depth = 50
