"""Names in Lift3D's checkpoint to ours (PKU-HMI-Lab/LIFT3D b0cff85): LoRA merged, the tokenizer's 62 keys renamed.

The authors load it with strict=False, so a file that lacks a part leaves that part as it was drawn. Here what lacks is
named and refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from baselines.lift3d_lora import SCALING
from baselines.lift3d_tokenizer import STAGES
from methods.errors import BadWeights

UNUSED = ("conv1", "class_embedding", "ln_pre", "ln_post", "decoder", "mask_token", "proj")
"""Parts of the checkpoint that the points' forward pass does not use."""
OWN = ("cls_token", "cls_pos", "norm.weight", "norm.bias")
TOKENIZER = "patch_embed.EncP."
LINEAR = ("weight", "bias")
NORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


def lift3d_tensors(tensors: Mapping[str, Tensor], source: str) -> dict[str, Tensor]:
    """Under our names: blocks with their LoRA merged, tokenizer, class token and norm, and whatever else is there.

    Raises `BadWeights` that names, as the publisher does, what the file lacks.
    """
    merged = merge_lora(tensors, source)
    names = tokenizer_names()
    absent = [name for name in (*OWN, *names) if name not in merged]
    if absent:
        more = f" and {len(absent) - 4} more" if len(absent) > 4 else ""
        raise BadWeights(f"{source} lacks {', '.join(absent[:4])}{more}: is it Lift3D's whole checkpoint?")
    found = {names.get(name, name): tensor for name, tensor in merged.items() if not name.startswith(UNUSED)}
    for name in names.values():
        if found[name].dim() > 2:  # convolutions over single points are matrices here
            found[name] = found[name].flatten(1)
    return found


def tokenizer_names() -> dict[str, str]:
    """The 62 keys of the authors' tokenizer, and ours for each."""
    pairs = {f"{TOKENIZER}raw_point_embed.net.0.weight": "tokenizer.embed.0.weight"}
    pairs |= {f"{TOKENIZER}raw_point_embed.net.1.{part}": f"tokenizer.embed.1.{part}" for part in NORM}
    for stage, (_, _, _, count) in enumerate(STAGES):
        for layer in range(count):
            theirs, ours = f"{TOKENIZER}LGA_list.{stage}.linear2.{layer}", f"tokenizer.stages.{stage}.{layer}.layers"
            for net, first in (("net1", 0), ("net2", 3)):
                pairs |= {f"{theirs}.{net}.0.{part}": f"{ours}.{first}.{part}" for part in LINEAR}
                pairs |= {f"{theirs}.{net}.1.{part}": f"{ours}.{first + 1}.{part}" for part in NORM}
    return pairs


def merge_lora(tensors: Mapping[str, Tensor], source: str) -> dict[str, Tensor]:
    """Lift3D's split and LoRA-wrapped q, k, v as one matrix a block; wrappers stripped, other keys unchanged."""
    merged: dict[str, Tensor] = {}
    split: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        short = re.sub(r"^(module\.|model\.|state_dict\.)+", "", name)
        match = re.fullmatch(r"(?:transformer\.)?(resblocks\.\d+)\.(.+)", short)
        if match is None:
            merged[short] = tensor
            continue
        block, rest = f"transformer.{match[1]}", match[2]
        part = re.fullmatch(r"attn\.([qkv])_proj\.(weight|bias|w_lora_A|w_lora_B)", rest)
        if part is None:
            merged[f"{block}.{rest.replace('attn.proj.', 'attn.out_proj.')}"] = tensor
        else:
            split.setdefault(block, {})[f"{part[1]}.{part[2]}"] = tensor
    for block, parts in split.items():
        weights, biases = [], []
        for letter in "qkv":
            if f"{letter}.weight" not in parts or f"{letter}.bias" not in parts:
                raise BadWeights(f"{source} lacks {block}.attn.{letter}_proj: is it Lift3D's checkpoint?")
            weight = parts[f"{letter}.weight"].float()
            a, b = parts.get(f"{letter}.w_lora_A"), parts.get(f"{letter}.w_lora_B")
            if a is not None and b is not None:
                weight = weight + SCALING * b.float() @ a.float()
            weights.append(weight)
            biases.append(parts[f"{letter}.bias"].float())
        merged[f"{block}.attn.in_proj_weight"] = torch.cat(weights)
        merged[f"{block}.attn.in_proj_bias"] = torch.cat(biases)
    return merged
