"""Lift3D (Jia et al., CVPR 2025): CLIP's image transformer, lifted to points and adapted with LoRA.

Architecture and training set read in PKU-HMI-Lab/LIFT3D (b0cff85). Tokens come from points, positions from CLIP's own
7 x 7 grid through six virtual views; the twelve ViT-B/32 blocks are frozen but for LoRA on q, k and v (rank 2, alpha
1, scaled by alpha / sqrt(rank), dropout 0.25) and their biases.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from baselines.lift3d_layout import lift3d_tensors
from baselines.lift3d_lora import LoRAAttention
from baselines.lift3d_tokenizer import Tokenizer, view_positions, view_rotations
from envs.spec import FieldSpec
from methods.base import Representation
from methods.card import MethodCard, MethodOption, PointInput, WeightFile
from methods.clip_layout import OPENAI_VIT_B32
from methods.errors import BadWeights
from methods.networks.clip import Blocks
from methods.preprocess import PointPreprocess
from methods.weights import load_strictly, read_tensors

WIDTH, DEPTH, HEADS, GRID = 768, 12, 12, 7


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
                "centers",
                "fps",
                ("fps", "random"),
                "random: token centres drawn anew in every forward pass, as the public code does by mistake",
                random=("random",),
            ),
            MethodOption(
                "compat",
                "none",
                ("none", "lift3d"),
                "lift3d: what its public code computes: random centres, offsets scaled batch-wide, and tokens whose "
                "positions are scrambled (lift3d_clip.py:442, :502)",
                random=("lift3d",),
            ),
        ),
        reported_as="Lift3D",
        notes=(
            "numbers from the public code have scrambled positions and random centres; method.compat=lift3d "
            "computes what it computes",
        ),
        version=2,
    )
    feature_dim = token_dim = WIDTH

    def __init__(self, specs: Mapping[str, FieldSpec], centers: str = "fps", compat: str = "none") -> None:
        super().__init__(specs)
        assert isinstance(self.card.input, PointInput)
        self.scrambled = compat == "lift3d"
        self.preprocess = PointPreprocess(self.card.input)
        self.tokenizer = Tokenizer(centers == "random" or compat == "lift3d", batch_scale=compat == "lift3d")
        self.cls_token = nn.Parameter(torch.zeros(1, 1, WIDTH))
        self.cls_pos = nn.Parameter(torch.zeros(1, 1, WIDTH))
        self.transformer = Blocks(WIDTH, DEPTH, HEADS)
        for block in self.transformer.resblocks:
            block.attn = LoRAAttention(WIDTH, HEADS)
        self.norm = nn.LayerNorm(WIDTH)
        self.position_grid: Tensor
        self.rotations: Tensor
        self.register_buffer("position_grid", torch.randn(WIDTH, GRID, GRID) * 0.02)
        self.register_buffer("rotations", view_rotations())
        for parameter in (self.cls_token, self.cls_pos):  # drawn anew by the authors after a first draw of one
            nn.init.trunc_normal_(parameter, std=0.02)
        self.transformer.requires_grad_(False)
        for name, parameter in self.transformer.named_parameters():
            if name.endswith(("lora_a", "lora_b", "in_proj_bias")):
                parameter.requires_grad_(True)

    def load_weights(self, paths: Sequence[Path]) -> None:
        """All of Lift3D's checkpoint, its LoRA merged into the blocks; the position grid from CLIP's.

        A single file of the user's gives its own `positional_embedding`. Raises `BadWeights` naming what is missing
        or not of this network.
        """
        tensors = lift3d_tensors(read_tensors(paths[0]), str(paths[0]))
        positions = tensors.pop("positional_embedding", None)
        if len(paths) > 1:
            positions = read_tensors(paths[1]).get("visual.positional_embedding")
        if positions is None or positions.shape != (1 + GRID * GRID, WIDTH):
            raise BadWeights(f"{paths[-1]} has no positional_embedding of {1 + GRID * GRID} x {WIDTH}")
        grid = positions[1:].T.reshape(WIDTH, GRID, GRID).float()
        ours = {n: t for n, t in self.state_dict().items() if n == "rotations" or ".lora_" in n}
        load_strictly(self, {**ours, "position_grid": grid, **tensors}, str(paths[0]))

    def encode(self, observations: Mapping[str, Tensor]) -> Tensor:
        return self._tokens(observations)[:, 0]

    def encode_tokens(self, observations: Mapping[str, Tensor]) -> Tensor:
        """(B, 128, 768) point tokens."""
        return self._tokens(observations)[:, 1:]

    def _tokens(self, observations: Mapping[str, Tensor]) -> Tensor:
        points = self.preprocess(observations["points"], observations["points_valid"])
        centers, tokens = self.tokenizer(points)
        with torch.no_grad():
            positions = view_positions(centers, self.position_grid, self.rotations, self.scrambled)
        first = (self.cls_token + self.cls_pos).expand(len(tokens), -1, -1)
        tokens = self.transformer(torch.cat([first, tokens + positions], dim=1))
        return self.norm(tokens)
