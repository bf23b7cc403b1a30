"""Short names of hub models that are compared most, with cards that need no package to be read.

DINOv2 and RADIO are used at 224 pixels, as robot learning does, not at the 518 and 512 of their configurations
(`method.size=518`); the others as theirs say. A test holds the cards against timm's. Theia's repository brings code of
its own, which is not run: its trunk is a plain ViT (DeiT-B), read from theaiinstitute/theia; its feature is the mean of
patch tokens.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from baselines.hub.card import HubCard, hub_card, hub_input
from baselines.hub.hf_models import HFEncoder
from baselines.hub.packages import install
from baselines.hub.timm_models import TimmEncoder
from baselines.images import IMAGENET_MEAN, IMAGENET_STD
from methods.card import ImageInput, WeightFile
from methods.clip_layout import MEAN, STD

HALF = (0.5, 0.5, 0.5)


def _timm(
    name: str,
    title: str,
    resolved: str,
    input: ImageInput,
    features: tuple[str, ...],
    licence: str,
    paper: str,
    parameters: int,
    patch: int,
    **more: Any,
) -> HubCard:
    url = f"https://huggingface.co/timm/{resolved}/resolve/main/model.safetensors"
    bare = licence.startswith("cc-by-nc")
    return hub_card(
        name,
        title,
        input,
        features,
        (WeightFile(f"{resolved}.safetensors", url, licence, non_commercial=bare),),
        (("timm", install("timm")),),
        f"{licence} (weights); timm is Apache-2.0",
        paper,
        True,
        parameters=parameters,
        parameters_source=f"counted in timm's {resolved}",
        patch=patch,
        resolved=resolved,
        **more,
    )


class DINOv2(TimmEncoder):
    """(B, V, H, W, 3) uint8 to (B, V * 384)."""

    card = _timm(
        "dinov2",
        "DINOv2 ViT-S/14",
        "vit_small_patch14_dinov2.lvd142m",
        hub_input(224, IMAGENET_MEAN, IMAGENET_STD, "bicubic", 1.0, "short-side"),
        ("cls", "mean", "tokens"),
        "apache-2.0",
        "Oquab et al., DINOv2, TMLR 2024, arXiv:2304.07193",
        21_628_800,
        14,
        summary="self-distillation on curated images; frozen",
    )


class DINOv3(TimmEncoder):
    """(B, V, H, W, 3) uint8 to (B, V * 384)."""

    card = _timm(
        "dinov3",
        "DINOv3 ViT-S/16",
        "vit_small_patch16_dinov3.lvd1689m",
        hub_input(256, IMAGENET_MEAN, IMAGENET_STD, "bicubic", 1.0, "short-side"),
        ("mean", "cls", "tokens"),
        "dinov3-license",
        "Siméoni et al., DINOv3, 2025, arXiv:2508.10104",
        21_586_944,
        16,
        summary="self-distillation with Gram anchoring; frozen",
    )


class SigLIP2(TimmEncoder):
    """(B, V, H, W, 3) uint8 to (B, V * 768)."""

    card = _timm(
        "siglip2",
        "SigLIP 2 ViT-B/16",
        "vit_base_patch16_siglip_224.v2_webli",
        hub_input(224, HALF, HALF, "bicubic", 0.9, "short-side"),
        ("map", "mean", "tokens"),
        "apache-2.0",
        "Tschannen et al., SigLIP 2, 2025, arXiv:2502.14786",
        92_884_224,
        16,
        crop=0.9,
        summary="images and captions by a sigmoid loss, with captioning and self-distillation; frozen",
    )


class MAE(TimmEncoder):
    """(B, V, H, W, 3) uint8 to (B, V * 768)."""

    card = _timm(
        "mae",
        "MAE ViT-B/16",
        "vit_base_patch16_224.mae",
        hub_input(224, IMAGENET_MEAN, IMAGENET_STD, "bicubic", 0.9, "short-side"),
        ("cls", "mean", "tokens"),
        "cc-by-nc-4.0",
        "He et al., MAE, CVPR 2022, arXiv:2111.06377",
        85_798_656,
        16,
        crop=0.9,
        summary="masked autoencoding of ImageNet; frozen",
    )


class RADIO(TimmEncoder):
    """(B, V, H, W, 3) uint8 to (B, V * 768)."""

    card = _timm(
        "radio",
        "C-RADIOv3 ViT-B/16",
        "vit_base_patch16_radio_v3.c_radio",
        hub_input(224, MEAN, STD, "bicubic", 1.0, "short-side"),
        ("cls", "mean", "tokens"),
        "nvidia-open-model-license",
        "Ranzinger et al., AM-RADIO, CVPR 2024, arXiv:2312.06709",
        85_820_160,
        16,
        summary="CLIP, DINOv2 and SAM distilled into one; frozen",
    )


class Theia(HFEncoder):
    """(B, V, H, W, 3) uint8 to (B, V * 768)."""

    card = hub_card(
        "theia",
        "Theia ViT-B/16",
        hub_input(224, IMAGENET_MEAN, IMAGENET_STD, "bicubic", 1.0, "short-side"),
        ("mean", "cls", "tokens"),
        (
            WeightFile(
                "theia-base-patch16-224-cdiv.safetensors",
                "https://huggingface.co/theaiinstitute/theia-base-patch16-224-cdiv/resolve/main/model.safetensors",
                "The Theia License (the AI Institute)",
                note="read the licence on the model's page",
            ),
        ),
        (("transformers", install("hf")),),
        "The Theia License (weights); transformers is Apache-2.0",
        "Shang et al., Theia, CoRL 2024, arXiv:2407.20179",
        True,
        summary="CLIP, DINOv2 and ViT distilled into one for robots; frozen",
        parameters=85_798_656,
        parameters_source="DeiT-B/16 without its classifier",
    )
    config: ClassVar[Mapping[str, Any]] = {
        "model_type": "vit",
        "hidden_size": 768,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "intermediate_size": 3072,
        "image_size": 224,
        "patch_size": 16,
    }
