"""Lift3D (Jia et al., CVPR 2025): CLIP's image transformer, lifted to points and adapted with LoRA.

Architecture and training set read in PKU-HMI-Lab/LIFT3D (b0cff85). Tokens come from points, positions from CLIP's own
7 x 7 grid through six virtual views; the twelve ViT-B/32 blocks are frozen but for LoRA on q, k and v (rank 2, alpha
1, scaled by alpha / sqrt(rank), dropout 0.25) and their biases.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from baselines.lift3d_tokenizer import Tokenizer, view_positions, view_rotations
from envs.spec import FieldSpec
from methods.base import Representation
from methods.card import MethodCard, MethodOption, PointInput, WeightFile
from methods.clip_layout import OPENAI_VIT_B32
from methods.errors import BadWeights
from methods.networks.clip import Blocks, SelfAttention
from methods.preprocess import PointPreprocess
from methods.weights import load_strictly, read_tensors

WIDTH, DEPTH, HEADS, GRID = 768, 12, 12, 7
RANK, ALPHA, DROPOUT = 2, 1.0, 0.25
SCALING = ALPHA / math.sqrt(RANK)


class LoRAAttention(SelfAttention):
    """Self-attention with a low-rank update of q, k and v. The weight is frozen, its bias is trained."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__(width, heads)
        self.lora_a = nn.Parameter(torch.empty(3, RANK, width))
        self.lora_b = nn.Parameter(torch.zeros(3, width, RANK))
        nn.init.kaiming_uniform_(self.lora_a, a=math.sqrt(5))

    def project(self, tokens: Tensor) -> Tensor:
        # each of q, k and v drops its own inputs
        low = [functional.linear(functional.dropout(tokens, DROPOUT, self.training), a) for a in self.lora_a]
        update = [functional.linear(x, b) for x, b in zip(low, self.lora_b, strict=True)]
        return super().project(tokens) + SCALING * torch.cat(update, dim=-1)


class Lift3D(Representation):
    """(B, 1024, 3) points in metres to (B, 768)."""

    card = MethodCard(
        name="lift3d",
        title="Lift3D",
        summary="CLIP's transformer on point tokens; tokenizer and LoRA trained",
        kind="3d",
        observes=("points", "points_valid"),
        input=PointInput(1024, "unit_sphere"),
        training="partial",
        batch="3d",
        paper="Jia et al., Lift3D, CVPR 2025, arXiv:2411.18623",
        licence="MIT",
        parameters=85_444_800,
        parameters_source="12 blocks of CLIP ViT-B/32, 276,672 of the tokenizer, 110,592 of LoRA, tokens and norm",
        weights=(
            WeightFile(
                "lift3d_clip_base.pth",
                "https://huggingface.co/jiayueru/Lift3d/resolve/main/lift3d_clip_base.pth",
                "MIT",
            ),
            OPENAI_VIT_B32,
        ),
        options=(
            MethodOption(
                "centers", "fps", ("fps", "random"),
                "random: token centres drawn anew in every forward pass, as the public code does by mistake",
                random=("random",),
            ),
            MethodOption(
                "compat", "none", ("none", "lift3d"), "lift3d: random centres, and offsets scaled batch-wide",
                random=("lift3d",),
            ),
        ),
        reported_as="Lift3D",
        notes=("the published checkpoint's own tokenizer, if it has one, is not loaded: its key layout is not known",),
    )  # fmt: skip
    feature_dim = token_dim = WIDTH

    def __init__(self, specs: Mapping[str, FieldSpec], centers: str = "fps", compat: str = "none") -> None:
        super().__init__(specs)
        assert isinstance(self.card.input, PointInput)
        self.preprocess = PointPreprocess(self.card.input)
        self.tokenizer = Tokenizer(centers == "random" or compat == "lift3d", batch_scale=compat == "lift3d")
        self.cls_token = nn.Parameter(torch.zeros(1, 1, WIDTH))
        self.cls_pos = nn.Parameter(torch.randn(1, 1, WIDTH))
        self.transformer = Blocks(WIDTH, DEPTH, HEADS)
        for block in self.transformer.resblocks:
            block.attn = LoRAAttention(WIDTH, HEADS)
        self.norm = nn.LayerNorm(WIDTH)
        self.position_grid: Tensor
        self.rotations: Tensor
        self.register_buffer("position_grid", torch.randn(WIDTH, GRID, GRID) * 0.02)
        self.register_buffer("rotations", view_rotations())
        nn.init.normal_(self.cls_token, std=0.02)
        self.transformer.requires_grad_(False)
        for name, parameter in self.transformer.named_parameters():
            if name.endswith(("lora_a", "lora_b", "in_proj_bias")):
                parameter.requires_grad_(True)

    def load_weights(self, paths: Sequence[Path]) -> None:
        """Blocks, class token and norm of Lift3D's checkpoint, its LoRA merged in; the position grid from CLIP's.

        A single file of the user's gives its own `positional_embedding`.
        """
        tensors = merge_lora(read_tensors(paths[0]), str(paths[0]))
        positions = tensors.pop("positional_embedding", None)
        if len(paths) > 1:
            positions = read_tensors(paths[1]).get("visual.positional_embedding")
        if positions is None or positions.shape != (1 + GRID * GRID, WIDTH):
            raise BadWeights(f"{paths[-1]} has no positional_embedding of {1 + GRID * GRID} x {WIDTH}")
        state = self.state_dict()
        scratch = {n: t for n, t in state.items() if n.startswith(("tokenizer.", "rotations")) or ".lora_" in n}
        grid = positions[1:].T.reshape(WIDTH, GRID, GRID).float()
        own = {"cls_token": state["cls_token"], "cls_pos": state["cls_pos"]} | {
            f"norm.{n}": state[f"norm.{n}"] for n in ("weight", "bias")
        }
        unused = ("patch_embed", "conv1", "class_embedding", "ln_pre", "ln_post", "decoder", "mask_token", "proj")
        loaded = {n: t for n, t in tensors.items() if not n.startswith(unused)}
        load_strictly(
            self, {**scratch, **own, "position_grid": grid, **loaded}, str(paths[0]), prefixes=()
        )  # fmt: skip

    def encode(self, observations: Mapping[str, Tensor]) -> Tensor:
        return self._tokens(observations)[:, 0]

    def encode_tokens(self, observations: Mapping[str, Tensor]) -> Tensor:
        """(B, 128, 768) point tokens."""
        return self._tokens(observations)[:, 1:]

    def _tokens(self, observations: Mapping[str, Tensor]) -> Tensor:
        points = self.preprocess(observations["points"], observations["points_valid"])
        centers, tokens = self.tokenizer(points)
        with torch.no_grad():
            positions = view_positions(centers, self.position_grid, self.rotations)
        first = (self.cls_token + self.cls_pos).expand(len(tokens), -1, -1)
        tokens = self.transformer(torch.cat([first, tokens + positions], dim=1))
        return self.norm(tokens)


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
