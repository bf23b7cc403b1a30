"""Where the encoder looks, against the encoder itself."""

from __future__ import annotations

import torch

from methods.clar.attention import class_attention, on_image, on_points
from tests.methods.test_clar_objective import batch, model


def test_the_shares_are_the_encoders_own() -> None:
    m = model().eval()
    encoder = m.representation.encoder
    centers, patches, _ = m.patches(batch()["points"], batch()["points_valid"])
    shares, tokens = class_attention(encoder, centers, patches)
    assert torch.allclose(tokens, encoder(centers, patches), atol=1e-5)
    assert torch.allclose(shares.sum(1), torch.ones(4)) and shares.min() > 0
    # the class token's output changes most with the patch that has most of its attention when values are alike
    with torch.no_grad():
        last = encoder.blocks[-1].attn
        width = last.qkv.weight.shape[1]
        last.qkv.weight[: 2 * width] = 0  # every score is equal
    even, _ = class_attention(encoder, centers, patches)
    assert torch.allclose(even, torch.full_like(even, 1 / 8), atol=1e-6)


def test_points_take_the_share_of_their_patch() -> None:
    centers = torch.tensor([[[0.0, 0, 0], [1, 0, 0], [0, 1, 0]]])
    points = torch.cat([centers, torch.tensor([[[0.9, 0.0, 0.0]]])], dim=1)
    heat = on_points(torch.tensor([[0.1, 0.6, 0.3]]), centers, points)
    assert heat[0, 1] == 1 and heat[0, 0] == 0 and 0.3 < heat[0, 2] < 0.5
    assert heat[0, 3] > 0.8


def test_the_picture_is_hottest_where_the_most_looked_at_visible_patch_is() -> None:
    reference = torch.tensor([[[0.25, 0.75], [0.75, 0.25], [0.5, 0.5]]])
    shares, seen = torch.tensor([[0.2, 0.3, 0.5]]), torch.tensor([[True, True, False]])
    heat = on_image(shares, torch.zeros(1, 4, 32), reference, seen, None, 14, (40, 80))
    row, column = divmod(int(heat[0].argmax()), 80)
    assert (row, column) in [(9, 59), (9, 60), (10, 59), (10, 60)] and heat.max() == 1
    assert heat[0, 20, 40] < 0.01, "an unseen patch leaves nothing"
    m = model()
    assert m.local is not None
    with torch.no_grad():
        m.local.sampling.offsets.bias.zero_()
    same = on_image(shares, torch.zeros(1, 4, 32), reference, seen, m.local, 14, (40, 80))
    assert torch.allclose(same, heat, atol=1e-5), "without offsets the alignment samples at the centres"
