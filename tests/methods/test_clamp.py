"""CLAMP's encoders: positions in space, pooling, counts, masks."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from methods.clamp.encoder import PAPER, ActionEncoder, ImageEncoder, patch_positions, tile
from methods.clamp.representation import CLAMP
from methods.clamp.string import CayleyString
from methods.frozen import count_parameters
from methods.networks.vit import Attention
from methods.testing import RepresentationContract


@pytest.fixture
def string() -> CayleyString:
    torch.manual_seed(0)
    made = CayleyString(heads=3, width=16).double()
    with torch.no_grad():
        made.free.normal_()
    return made


def attend(string: CayleyString, queries: Tensor, keys: Tensor, positions: Tensor) -> Tensor:
    rotate = string.rotation(positions)
    return rotate(queries) @ rotate(keys).transpose(-1, -2)


def test_counts_are_the_papers() -> None:
    with torch.device("meta"):
        assert round(count_parameters(ImageEncoder()) / 1e6) == 94
        assert round(count_parameters(ActionEncoder(50, 14)) / 1e6) == 18
    assert PAPER.tokens == 980


def test_the_basis_is_orthogonal_with_determinant_one_and_the_factors_commute(string: CayleyString) -> None:
    basis = string.orthogonal()
    torch.testing.assert_close(basis @ basis.transpose(1, 2), torch.eye(16).double().expand(3, 16, 16))
    torch.testing.assert_close(torch.linalg.det(basis), torch.ones(3).double())
    skew = torch.zeros(3, 16, 16).double()
    skew[:, string.upper[0], string.upper[1]] = string.free.detach()
    skew = skew - skew.transpose(1, 2)
    other_order = (torch.eye(16) - skew) @ torch.linalg.inv(torch.eye(16) + skew)
    torch.testing.assert_close(basis, other_order)


def test_logits_depend_on_differences_of_position_alone(string: CayleyString) -> None:
    queries, keys, positions = (
        torch.randn(2, 3, 7, 16).double(),
        torch.randn(2, 3, 7, 16).double(),
        torch.rand(2, 7, 3).double(),
    )
    here = attend(string, queries, keys, positions)
    torch.testing.assert_close(attend(string, queries, keys, positions + torch.tensor([0.4, -1.0, 2.0])), here)
    assert not torch.allclose(attend(string, queries, keys, positions * 1.1), here), "positions must matter"
    mirrored = positions * torch.tensor([-1.0, 1, 1])
    assert not torch.allclose(attend(string, queries, keys, mirrored), here), "each axis must matter"


def test_at_equal_positions_it_is_plain_attention(string: CayleyString) -> None:
    torch.manual_seed(0)
    attention, tokens = Attention(48, 3).double(), torch.randn(2, 5, 48).double()
    rotate = string.rotation(torch.rand(2, 1, 3).double().expand(2, 5, 3))
    queries, keys, values = attention.qkv(tokens).view(2, 5, 3, 3, 16).permute(2, 0, 3, 1, 4)
    plain = functional.scaled_dot_product_attention(queries, keys, values)
    expected = attention.proj(plain.transpose(1, 2).reshape(2, 5, 48))
    torch.testing.assert_close(attention(tokens, rotate), expected)
    torch.testing.assert_close(attention(tokens), expected)


def test_the_whole_rotation_is_the_papers_product(string: CayleyString) -> None:
    """P RoPE(r) P^T with the rotation written as a matrix; the P on the left changes no logit."""
    vector, position = torch.randn(16).double(), torch.rand(3).double()
    found = string.rotation(position.view(1, 1, 3))(vector.view(1, 1, 1, 16).expand(1, 3, 1, 16))[0, :, 0]
    for head, basis in enumerate(string.orthogonal()):
        rope = torch.zeros(16, 16).double()
        for plane, frequency in enumerate(string.frequency[head]):
            angle = (frequency @ position).item()
            c, s = math.cos(angle), math.sin(angle)
            rope[2 * plane : 2 * plane + 2, 2 * plane : 2 * plane + 2] = torch.tensor([[c, -s], [s, c]])
        torch.testing.assert_close(basis @ found[head], basis @ rope @ basis.T @ vector)


def test_a_patchs_position_is_the_mean_of_its_filled_pixels() -> None:
    xyz, valid = torch.randn(1, 32, 48, 3), torch.zeros(1, 32, 48)
    valid[0, 3, 5] = valid[0, 15, 0] = valid[0, 20, 40] = 1
    found = patch_positions(xyz, valid)[0]
    assert found.shape == (6, 3)
    torch.testing.assert_close(found[0], (xyz[0, 3, 5] + xyz[0, 15, 0]) / 2)
    torch.testing.assert_close(found[5], xyz[0, 20, 40])
    assert not found[1:5].any()


def test_views_stand_side_by_side() -> None:
    views = torch.arange(2 * 5 * 4 * 3).view(2, 5, 4, 3, 1)
    assert tile(views).shape == (2, 4, 15, 1)
    assert torch.equal(tile(views)[1, :, 6:9], views[1, 2])


class TwoBlocks(CLAMP):
    """What is empty is left out before the first block, and all blocks are alike."""

    config = dataclasses.replace(PAPER, depth=2)


@pytest.mark.slow
def test_empty_pixels_and_missing_history_do_not_reach_the_feature() -> None:
    contract = RepresentationContract()
    contract.method = "clamp"  # type: ignore[misc]
    torch.manual_seed(0)
    clamp = TwoBlocks(contract.specs()).eval()
    assert CLAMP.card.past_actions == 50
    views, valid = torch.rand(1, 5, 224, 224, 4), torch.rand(1, 5, 224, 224) < 0.3
    past = torch.zeros(1, 50, 4)
    past[:, -3:] = 0.5
    observations = {"views": views, "views_valid": valid, "past_actions": past}
    other = observations | {"views": torch.where(valid.unsqueeze(-1), views, torch.full_like(views, 9.0))}
    with torch.no_grad():
        feature = clamp.encode(observations)
        assert torch.equal(clamp.encode(other), feature)
        tokens = clamp.encode_tokens(observations)
        clamp.fit({"past_actions": torch.rand(20, 50, 4) * 3 - 1})
        assert not torch.equal(clamp.encode(observations), feature), "the range of actions matters"
        nothing = clamp.actions(torch.zeros(1, 50, 4))
        empty = clamp.encode_tokens(observations | {"past_actions": torch.zeros(1, 50, 4)})
    assert feature.shape == (1, 1536)
    assert tokens.shape == (1, 1030, 768)
    torch.testing.assert_close(empty[:, 980:], nothing)
