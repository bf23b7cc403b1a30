"""Lift3D's parts one by one: views, positions, LoRA, centres."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from baselines.lift3d import Lift3D
from baselines.lift3d_lora import LoRAAttention
from baselines.lift3d_tokenizer import Tokenizer, trigonometric, view_positions, view_rotations
from methods.networks.clip import SelfAttention
from methods.testing import random_observations
from tests.methods.test_contract import contract


def test_the_views_are_a_cubes_faces() -> None:
    rotations = view_rotations()
    torch.testing.assert_close(rotations @ rotations.transpose(1, 2), torch.eye(3).expand(6, 3, 3))
    assert torch.allclose(torch.linalg.det(rotations), torch.ones(6))
    toward = {tuple(int(v) for v in rotation[2].round()) for rotation in rotations}
    assert len(toward) == 6, "each looks along another half axis"


def test_the_six_rotations_are_the_authors_in_their_order() -> None:
    """Points turned about z, then y, then x by the angles of mv_utils.py:399, each turn written out in the plane."""
    quarter = math.pi / 2
    angles = [(k * quarter, 0.0, quarter) for k in range(4)] + [(0.0, -quarter, quarter), (0.0, quarter, quarter)]
    point = torch.tensor([0.3, -0.5, 0.8], dtype=torch.float64)
    for rotation, (about_x, about_y, about_z) in zip(view_rotations().double(), angles, strict=True):
        x, y, z = point.tolist()
        x, y = math.cos(about_z) * x - math.sin(about_z) * y, math.sin(about_z) * x + math.cos(about_z) * y
        z, x = math.cos(about_y) * z - math.sin(about_y) * x, math.sin(about_y) * z + math.cos(about_y) * x
        y, z = math.cos(about_x) * y - math.sin(about_x) * z, math.sin(about_x) * y + math.cos(about_x) * z
        torch.testing.assert_close(rotation @ point, torch.tensor([x, y, z], dtype=torch.float64))


def test_positions_are_clips_grid_seen_from_the_views() -> None:
    """A loop over points and views, with the bilinear weights written out."""
    torch.manual_seed(0)
    centers, grid, rotations = torch.rand(1, 9, 3) - 0.5, torch.randn(4, 7, 7), view_rotations()
    found = view_positions(centers, grid, rotations)[0]
    for point, position in zip(centers[0], found, strict=True):
        total = torch.zeros(4)
        for rotation in rotations:
            x, y, z = (rotation @ point).tolist()
            column, row = (((v / (z + 1.6) + 1) / 2 * 224 - 0.5) % 224 for v in (x, y))
            column, row = column / 223 * 6, row / 223 * 6
            for j in (math.floor(row), math.floor(row) + 1):
                for i in (math.floor(column), math.floor(column) + 1):
                    if 0 <= i < 7 and 0 <= j < 7:
                        total += grid[:, j, i] * (1 - abs(column - i)) * (1 - abs(row - j))
        torch.testing.assert_close(position, total / 6, rtol=1e-4, atol=1e-5)


def test_the_public_codes_positions_are_six_channels_of_all_points() -> None:
    """Entry c of token t is channel 6 t + c // n of point c % n: here 12 channels, 4 points, so 3 channels a token."""
    torch.manual_seed(0)
    centers, grid, rotations = torch.rand(2, 4, 3) - 0.5, torch.randn(12, 7, 7), view_rotations()
    right, wrong = (view_positions(centers, grid, rotations, scrambled) for scrambled in (False, True))
    for cloud in range(2):
        for token in range(4):
            for entry in range(12):
                channel, point = 3 * token + entry // 4, entry % 4
                torch.testing.assert_close(wrong[cloud, token, entry], right[cloud, point, channel])


@pytest.mark.slow
def test_positions_are_scrambled_in_compat_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def watched(centers: Tensor, grid: Tensor, rotations: Tensor, scrambled: bool) -> Tensor:
        asked.append(scrambled)
        return view_positions(centers, grid, rotations, scrambled)

    monkeypatch.setattr("baselines.lift3d.view_positions", watched)
    monkeypatch.setattr("baselines.lift3d.DEPTH", 1)
    specs = contract("lift3d").specs()
    for options in ({}, {"centers": "random"}, {"compat": "lift3d"}):
        method = Lift3D(specs, **options).eval()
        with torch.no_grad():
            method.encode(random_observations(specs, 1))
    assert asked == [False, False, True]


def test_what_is_trained_starts_as_the_authors_start_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """`trunc_normal_` of 0.02, and LoRA's A uniform as a layer of 768 inputs: 1 / sqrt(3 * 768) = 0.0208."""
    monkeypatch.setattr("baselines.lift3d.DEPTH", 2)
    torch.manual_seed(0)
    method = Lift3D(contract("lift3d").specs())
    drawn = {"cls_token": method.cls_token, "cls_pos": method.cls_pos, "first": method.tokenizer.embed[0].weight}
    for name, values in drawn.items():
        assert values.std().item() == pytest.approx(0.02, rel=0.15), name
    for block in method.transformer.resblocks:
        for matrix in block.attn.lora_a:
            assert matrix.std().item() == pytest.approx((3 * 768) ** -0.5, rel=0.05)
            assert matrix.abs().max().item() <= 768**-0.5


def test_lora_starts_as_nothing_and_adds_a_low_rank_update() -> None:
    torch.manual_seed(0)
    adapted, plain = LoRAAttention(128, 2).eval(), SelfAttention(128, 2)
    plain.load_state_dict({n: t for n, t in adapted.state_dict().items() if "lora" not in n})
    tokens = torch.randn(2, 5, 128)
    assert torch.equal(adapted(tokens), plain(tokens))
    with torch.no_grad():
        adapted.lora_b.normal_()
        plain.in_proj_weight += torch.cat(list(adapted.lora_b @ adapted.lora_a)) / math.sqrt(2)
    torch.testing.assert_close(adapted(tokens), plain(tokens), rtol=1e-4, atol=1e-4)


def test_the_trigonometric_embedding_has_all_sines_of_a_coordinate_before_its_cosines() -> None:
    offset = torch.tensor([0.1, -0.2, 0.3], dtype=torch.float64)
    out = trigonometric(offset, 12)
    expected = [f(100 * v / 1000 ** (k / 2)) for v in offset.tolist() for f in (math.sin, math.cos) for k in range(2)]
    torch.testing.assert_close(out, torch.tensor(expected, dtype=torch.float64), rtol=1e-6, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("random", [False, True])
def test_centres_are_deterministic_unless_asked_otherwise(random: bool) -> None:
    torch.manual_seed(0)
    tokenizer, points = Tokenizer(random, batch_scale=False).eval(), torch.rand(2, 128, 3) - 0.5
    first, second = tokenizer(points), tokenizer(points)
    assert first[0].shape == (2, 16, 3)
    assert first[1].shape == (2, 16, 768)
    assert torch.equal(first[1], second[1]) != random


@pytest.mark.slow
def test_offsets_are_scaled_batch_wide_only_in_compat_training() -> None:
    torch.manual_seed(0)
    points = torch.rand(2, 128, 3) - 0.5
    points[1] *= 0.1
    for batch_scale in (False, True):
        tokenizer = Tokenizer(False, batch_scale).eval()
        assert torch.allclose(tokenizer(points[:1])[1], tokenizer(points)[1][:1], atol=1e-4)
        tokenizer.training = True  # its BatchNorms stay in evaluation, so that only the spread can differ
        alike = torch.allclose(tokenizer(points[:1])[1], tokenizer(points)[1][:1], atol=1e-4)
        assert alike != batch_scale
