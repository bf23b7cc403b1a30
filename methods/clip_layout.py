"""OpenAI's CLIP checkpoints: where they are and what is in them."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from methods.card import WeightFile
from methods.errors import BadWeights
from methods.networks.clip import CLIPConfig, TextTower

PUBLISHER = "https://openaipublic.azureedge.net/clip/models"
MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)
"""Of pixels in 0..1, per channel."""
LICENCE = "MIT (code and weights' repository); OpenAI's model card: research, deployment out of scope"


def openai_file(filename: str, sha256: str) -> WeightFile:
    """OpenAI's addresses contain the file's sha256."""
    return WeightFile(filename, f"{PUBLISHER}/{sha256}/{filename}", LICENCE, sha256=sha256)


OPENAI_VIT_B32 = openai_file("ViT-B-32.pt", "40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af")
OPENAI_VIT_B16 = openai_file("ViT-B-16.pt", "5806e77cd80f8b59890b7e101eabd078d9fb84e6937f9e85e4ecb61988df416f")


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
