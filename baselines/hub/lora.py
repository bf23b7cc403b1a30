"""LoRA (Hu et al., ICLR 2022) on the attention of any image model: W + B A for queries, keys and values.

Rank 8 and alpha 8, so the update is not scaled; A is drawn as torch draws a linear layer, B is zero. The update is
added to the weight and not to what comes out, since some models use the weight without calling its layer.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

RANK = 8
JOINT = frozenset({"qkv"})
SINGLE = frozenset({"q", "k", "v", "q_proj", "k_proj", "v_proj", "query", "key", "value"})
ORIGINAL = ".parametrizations.weight.original"


class LowRank(nn.Module):
    """(out, in) weight to the same with the update added; of a joint weight of q, k and v an update each."""

    def __init__(self, weight: Tensor, parts: int) -> None:
        super().__init__()
        rows, columns = weight.shape
        self.lora_a = nn.Parameter(torch.empty(parts, RANK, columns))
        self.lora_b = nn.Parameter(torch.zeros(parts, rows // parts, RANK))
        for matrix in self.lora_a:
            nn.init.kaiming_uniform_(matrix, a=math.sqrt(5))

    def forward(self, weight: Tensor) -> Tensor:
        return weight + (self.lora_b @ self.lora_a).flatten(0, 1)


def adaptable(model: nn.Module) -> list[tuple[nn.Linear, int]]:
    """The layers that give queries, keys and values, each with how many of the three."""
    found = []
    for name, module in model.named_modules():
        last = name.rpartition(".")[2]
        if isinstance(module, nn.Linear) and last in JOINT | SINGLE:
            found.append((module, 3 if last in JOINT and module.out_features % 3 == 0 else 1))
    return found


def add_lora(model: nn.Module) -> None:
    """Freeze everything and add updates that are trained."""
    model.requires_grad_(False)
    for layer, parts in adaptable(model):
        parametrize.register_parametrization(layer, "weight", LowRank(layer.weight, parts))
        layer.parametrizations.weight.original.requires_grad_(False)  # type: ignore[union-attr]


def with_lora(model: nn.Module, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A published checkpoint under the names of an adapted model; the updates stay as they are."""
    own = model.state_dict()
    moved = {f"{name.removesuffix('.weight')}{ORIGINAL}": name for name in tensors if name.endswith(".weight")}
    renamed = {name: moved_to for moved_to, name in moved.items() if moved_to in own}
    found = {renamed.get(name, name): tensor for name, tensor in tensors.items()}
    return {**{name: tensor for name, tensor in own.items() if ".lora_" in name}, **found}
