"""VGGT's adapter: which map it takes of a network with its authors' interface, and its projection by hand, in fp64."""

from __future__ import annotations

import sys
import types
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from baselines.vggt import Trunk
from methods.testing import random_observations
from tests.methods.by_hand import agree, group_norm, relu, shaken
from tests.methods.test_contract import contract
from tests.methods.tiny_vggt import TinyVGGT


def halved(layer: Any, values: Tensor) -> Tensor:
    """A 3 x 3 convolution of stride 2 with a border of zeros: (C, B, H, W) to (D, B, H / 2, W / 2)."""
    height, width = values.shape[2:]
    rows = []
    for i in range(0, height, 2):
        row = []
        for j in range(0, width, 2):
            total = layer.bias[:, None].expand(-1, values.shape[1])
            for di in (-1, 0, 1):
                for dj in (-1, 0, 1):
                    if 0 <= i + di < height and 0 <= j + dj < width:
                        total = total + layer.weight[:, :, di + 1, dj + 1] @ values[:, :, i + di, j + dj]
            row.append(total)
        rows.append(torch.stack(row, 2))
    return torch.stack(rows, 2)


def projected(method: TinyVGGT, maps: Tensor) -> Tensor:
    """(B, V, 128, h, w): of each view three halvings under GroupNorm of 32 groups and ReLU, and the mean of what is
    left; views side by side.
    """
    found = []
    for view in maps.unbind(1):
        values = view.permute(1, 0, 2, 3)
        for first in (0, 3, 6):
            values = relu(group_norm(method.projection[first + 1], halved(method.projection[first], values)))
        cells = [values[:, :, i, j] for i in range(values.shape[2]) for j in range(values.shape[3])]
        found.append(sum(cells) / len(cells))
    return torch.cat(found).T


def tiny(cameras: tuple[str, ...] = ("corner",)) -> tuple[TinyVGGT, Any]:
    made = contract("vggt")
    made.cameras = cameras  # type: ignore[misc]
    specs = made.specs()
    torch.manual_seed(0)
    return TinyVGGT(specs, map="16"), specs


@pytest.mark.slow
def test_the_projection_is_its_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    method, _ = tiny(("corner", "corner2"))
    method.double()
    shaken(method)
    maps = torch.randn(2, 2, 128, 8, 8, dtype=torch.float64)
    agree(method, lambda: method.project(maps), lambda _: projected(method, maps), monkeypatch)


@pytest.mark.parametrize("training", [False, True])
def test_the_kept_map_is_the_trunks_averaged_over_cells_and_the_trunk_never_learns(training: bool) -> None:
    method, specs = tiny()
    method.freeze_as_card_says()
    method.train(training)
    observations = random_observations(specs, 2)
    kept = method.encode_frozen(observations)
    whole = method.trunk(observations["rgb"][:, 0].permute(0, 3, 1, 2).float() / 255)
    assert whole.shape[2:] == (112, 112)
    for i in range(16):
        for j in range(16):
            cell = whole[:, :, 7 * i : 7 * i + 7, 7 * j : 7 * j + 7].sum((2, 3)) / 49
            torch.testing.assert_close(kept[:, 0, :, i, j], cell, rtol=1e-5, atol=1e-5)
    before = {name: value.clone() for name, value in method.trunk.state_dict().items()}
    method.encode(observations).sum().backward()
    assert all(torch.equal(value, before[name]) for name, value in method.trunk.state_dict().items())
    assert all(parameter.grad is None for parameter in method.trunk.parameters())
    assert all(parameter.grad is not None for parameter in method.projection.parameters())


class Aggregator(nn.Module):
    """Views (B, S, 3, H, W) to tokens of each layer, and where its patches begin."""

    def __init__(self, img_size: int, patch_size: int, embed_dim: int) -> None:
        super().__init__()
        assert (img_size, patch_size, embed_dim) == (518, 14, 1024)

    def forward(self, images: Tensor) -> tuple[list[Tensor], int]:
        assert images.shape[1:3] == (1, 3)
        return [images.flatten(3).transpose(2, 3)], 5


class DPTHead(nn.Module):
    """The fused map goes through `scratch.output_conv1`, and then on to depth."""

    def __init__(self, dim_in: int, output_dim: int, activation: str, conf_activation: str) -> None:
        super().__init__()
        assert (dim_in, output_dim, activation, conf_activation) == (2048, 2, "exp", "expp1")
        self.scratch = nn.Module()
        self.scratch.output_conv1 = nn.Conv2d(3, 128, 3, 1, 1)
        self.scratch.output_conv2 = nn.Conv2d(128, 2, 1)

    def forward(self, tokens: list[Tensor], images: Tensor, patch_start_idx: int) -> tuple[Tensor, Tensor]:
        assert patch_start_idx == 5
        fused = 2 * tokens[0][:, 0].transpose(1, 2).reshape(len(images), 3, *images.shape[3:])
        depth, confidence = self.scratch.output_conv2(self.scratch.output_conv1(fused)).chunk(2, dim=1)
        return depth.exp(), confidence.exp() + 1


def test_the_trunk_takes_the_output_of_output_conv1(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, attribute in (("vggt.heads.dpt_head", DPTHead), ("vggt.models.aggregator", Aggregator)):
        module = types.ModuleType(name)
        setattr(module, attribute.__name__, attribute)
        monkeypatch.setitem(sys.modules, name, module)
    trunk, images = Trunk(), torch.rand(2, 3, 28, 28)
    kept = trunk(images)
    torch.testing.assert_close(kept, trunk.depth_head.scratch.output_conv1(2 * images))
    assert not trunk.depth_head.scratch.output_conv1._forward_hooks, "nothing is left behind"
