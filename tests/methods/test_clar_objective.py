"""CLAR's pre-training terms, each against a reference that loops over everything, and what they do with bad input."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from envs import camera
from envs.spec import FieldSpec
from methods.clar.contrast import FORMS, Form, GlobalContrast, Temperature, contrast
from methods.clar.encoder import EncoderConfig
from methods.clar.local import DeformableSampling, LocalAlignment, project, visible
from methods.clar.mae import Decoder, chamfer, draw_mask, draw_masked_count, split_patches
from methods.clar.pretraining import Options, Pretraining
from methods.clar.representation import CLAR

TINY = EncoderConfig(patches=8, patch_points=4, width=32, depth=2, heads=2, hidden=(8, 16, 16))
SPECS = {
    "points": FieldSpec("points", (64, 3), "float32", "m", "robot"),
    "points_valid": FieldSpec("points_valid", (64,), "bool", ""),
}


class TinyCLAR(CLAR):
    config = TINY


def batch(size: int = 4, seed: int = 0) -> dict[str, Tensor]:
    """Clouds half a metre before one camera that looks along +y, with everything a teacher would say."""
    g = torch.Generator().manual_seed(seed)
    points = torch.rand(size, 64, 3, generator=g) * torch.tensor([0.4, 0.2, 0.4]) + torch.tensor([-0.2, 0.5, -0.2])
    extrinsics = torch.from_numpy(camera.look_at(np.zeros(3), np.array([0.0, 1, 0]), np.array([0.0, 0, 1]))).float()
    intrinsics = torch.tensor([[32.0, 0, 16], [0, 32, 16], [0, 0, 1]])
    pixels, depth = project(points, intrinsics.expand(size, 3, 3), extrinsics.expand(size, 4, 4))
    seen = torch.full((size, 32, 32), torch.inf)
    for b in range(size):
        for (u, w), z in zip(pixels[b].floor().long().tolist(), depth[b].tolist(), strict=True):
            seen[b, w, u] = min(seen[b, w, u], z)
    return {
        "points": points,
        "points_valid": torch.ones(size, 64, dtype=torch.bool),
        "depth": seen,
        "intrinsics": intrinsics.repeat(size, 1, 1),
        "extrinsics": extrinsics.repeat(size, 1, 1),
        "image_feature": torch.randn(size, 16, generator=g),
        "image_map": torch.randn(size, 7, 7, 24, generator=g),
        "text_feature": torch.randn(size, 16, generator=g),
        "said": torch.arange(size),
    }


def model(**options: Any) -> Pretraining:
    torch.manual_seed(0)
    options = {"local_width": 32, "local_heads": 4, **options}
    return Pretraining(TinyCLAR(SPECS, norm="workspace"), Options(**options), teacher_dim=16, map_dim=24)


def terms_of(m: Pretraining, b: Mapping[str, Tensor]) -> dict[str, Tensor]:
    found = m(b)
    if "clouds" in found:
        found |= m.batch_terms({"clouds": found.pop("clouds")}, b)
    return found


# -- masked autoencoding


def test_chamfer_is_equation_1() -> None:
    g = torch.Generator().manual_seed(0)
    ours, true = torch.randn(2, 5, 3, generator=g), torch.randn(2, 7, 3, generator=g)
    for b in range(2):
        there = sum(min(((r - t) ** 2).sum().item() for t in true[b]) for r in ours[b]) / 5
        back = sum(min(((r - t) ** 2).sum().item() for r in ours[b]) for t in true[b]) / 7
        assert chamfer(ours, true)[b].item() == pytest.approx(there + back, rel=1e-6)
    assert chamfer(true, true).abs().max() == 0


def test_60_to_80_percent_are_masked_anew_each_time() -> None:
    torch.manual_seed(0)
    counts = [draw_masked_count(64, 0.6, 0.8) for _ in range(2000)]
    assert min(counts) == 38 and max(counts) == 51
    assert abs(np.mean(counts) / 64 - 0.7) < 0.005
    assert {draw_masked_count(64, 0.6, 0.6) for _ in range(20)} == {38}, "Point-MAE's constant"
    assert draw_masked_count(2, 0.9, 0.95) == 1, "one patch is always seen"
    assert draw_masked_count(3, 0.01, 0.02) == 1, "one is always masked"
    with pytest.raises(ValueError, match="at least 2 patches"):
        draw_masked_count(1, 0.6, 0.8)
    with pytest.raises(ValueError, match="between 0 and 1"):
        draw_masked_count(8, 0.8, 0.6)


def test_every_patch_is_either_seen_or_masked_and_the_choice_is_even() -> None:
    torch.manual_seed(0)
    seen, hidden = draw_mask(500, 10, 7, torch.device("cpu"))
    assert seen.shape == (500, 3) and hidden.shape == (500, 7)
    assert torch.equal(torch.cat([seen, hidden], 1).sort(1).values, torch.arange(10).expand(500, 10))
    often = torch.bincount(hidden.flatten(), minlength=10) / 500
    assert (often - 0.7).abs().max() < 0.1
    values = torch.arange(20.0).view(1, 10, 2)
    a, b = split_patches(values.unsqueeze(-1).expand(1, 10, 2, 3), seen[:1], hidden[:1])
    assert torch.equal(a[0, :, 0, 0], 2.0 * seen[0]) and b.shape == (1, 7, 2, 3)


def test_the_decoder_has_the_published_size() -> None:
    decoder = Decoder(EncoderConfig())
    head = sum(p.numel() for p in decoder.head.parameters())
    rest = sum(p.numel() for p in decoder.parameters()) - head - decoder.mask_token.numel()
    assert head == 36_960
    assert rest == 7_144_064, "Point-MAE's decoder with its positions and norm"


def test_the_prediction_sees_neither_masked_patches_nor_their_order() -> None:
    m = model(contrast=False, local=False).eval()
    assert m.decoder is not None
    centers, patches = torch.randn(2, 8, 3), torch.randn(2, 8, 4, 3)
    encoder = m.representation.encoder
    encoded = encoder(centers[:, :3], patches[:, :3])[:, 1:]
    predicted = m.decoder(encoded, centers[:, :3], centers[:, 3:])
    turned = m.decoder(encoded.flip(1), centers[:, :3].flip(1), centers[:, 3:].flip(1))
    assert torch.allclose(predicted, turned.flip(1), atol=1e-5), "a prediction belongs to its centre"
    moved = m.decoder(encoded, centers[:, :3], centers[:, 3:] + 1)
    assert not torch.allclose(predicted, moved, atol=1e-3), "positions reach the masked tokens"


# -- contrast


def by_hand(scores: Tensor, same: Tensor, form: str) -> float:
    """-1/2 of the means over i of S in both directions, term by term. same[i, j]: of one instruction."""
    total, n = 0.0, len(scores)
    for matrix, equal in ((scores, same), (scores.T, same.T)):
        values = []
        for i in range(n):
            positives = [i] if form == "dcl_as_printed" else [j for j in range(n) if equal[i, j]]
            left_out = {"infonce": [], "dcl": positives, "dcl_as_printed": [i]}[form]
            columns = [j for j in range(n) if j not in left_out]
            if not set(range(n)) - set(positives):
                continue
            below = math.log(sum(math.exp(matrix[i, j]) for j in columns))
            values.append(sum(matrix[i, j].item() for j in positives) / len(positives) - below)
        total += sum(values) / max(len(values), 1)
    return -total / 2


@pytest.mark.parametrize("form", FORMS)
def test_contrast_is_equations_2_to_4(form: Form) -> None:
    scores = torch.randn(5, 5, generator=torch.Generator().manual_seed(1)).double()
    diagonal = torch.eye(5, dtype=torch.bool)
    assert contrast(scores, form=form).item() == pytest.approx(by_hand(scores, diagonal, form), rel=1e-6)
    said = torch.tensor([0, 0, 1, 2, 1])
    same = said[:, None] == said[None]
    assert contrast(scores, same, form=form).item() == pytest.approx(by_hand(scores, same, form), rel=1e-6)


def test_equation_4_to_the_letter() -> None:
    """Two frames of three share an instruction, so their columns are the same. Cosines 0.8, 0.5 and 0.2, t = 0.1.

    Row 1 as printed: 8 - log(e^8 + e^2); decoupled: 8 - log(e^2); row 2 the same; row 3: 5 - log(2 e^2).
    Column 1: 8 - log(e^8 + e^2), column 2 the same, as printed; 8 - 2 decoupled; column 3: 5 - log(2 e^2).
    """
    scores = 10 * torch.tensor([[0.8, 0.8, 0.2], [0.8, 0.8, 0.2], [0.2, 0.2, 0.5]])
    said = torch.tensor([7, 7, 9])
    same = said[:, None] == said[None]
    printed = -(2 * (8 - math.log(math.exp(8) + math.exp(2))) + (5 - math.log(2 * math.exp(2)))) / 3
    decoupled = -(2 * (8 - 2) + (5 - math.log(2 * math.exp(2)))) / 3
    assert contrast(scores, same, form="dcl_as_printed").item() == pytest.approx(printed, abs=1e-5)
    assert contrast(scores, same, form="dcl").item() == pytest.approx(decoupled, abs=1e-5)
    assert printed == pytest.approx(-0.767, abs=1e-3) and decoupled == pytest.approx(-4.769, abs=1e-3)
    # as printed who shares the instruction does not matter: every other column is in the denominator
    assert torch.equal(contrast(scores, same, form="dcl_as_printed"), contrast(scores, form="dcl_as_printed"))
    # and where no instruction is shared, as for images, the two are one
    pictures = torch.randn(6, 6, generator=torch.Generator().manual_seed(2))
    assert torch.equal(contrast(pictures, form="dcl"), contrast(pictures, form="dcl_as_printed"))


def test_infonce_is_cross_entropy_and_as_printed_has_no_lower_bound() -> None:
    scores = torch.randn(6, 6)
    labels = torch.arange(6)
    usual = (nn.functional.cross_entropy(scores, labels) + nn.functional.cross_entropy(scores.T, labels)) / 2
    assert torch.allclose(contrast(scores), usual, atol=1e-6)
    apart = torch.eye(6)
    for form in ("dcl", "dcl_as_printed"):
        values = [contrast(scale * apart, form=form).item() for scale in (1, 10, 100)]
        assert values[0] > values[1] > values[2] and values[2] < -90
    assert contrast(100 * apart).item() >= 0


def test_masked_items_are_neither_queries_nor_negatives() -> None:
    scores = torch.randn(2, 5, 5)
    valid = torch.tensor([[True, True, False, True, False], [True] * 5])
    kept = contrast(scores[0][valid[0]][:, valid[0]])
    whole = contrast(scores[1])
    rows = torch.tensor([3.0, 5.0])
    assert torch.allclose(contrast(scores, valid=valid), (torch.stack([kept, whole]) * rows).sum() / 8, atol=1e-6)
    poisoned = scores.clone()
    poisoned[0, :, 2], poisoned[0, 2] = 1e4, -1e4
    assert torch.allclose(contrast(poisoned, valid=valid), contrast(scores, valid=valid))


@pytest.mark.parametrize("form", FORMS)
def test_what_says_nothing_is_zero_with_a_gradient_of_zero(form: Any) -> None:
    """One sample, an instruction that all share, nothing visible."""
    everyone = torch.ones(4, 4, dtype=torch.bool)
    nobody = torch.zeros(4, dtype=torch.bool)
    cases: list[tuple[Tensor, dict[str, Tensor]]] = [(torch.randn(1, 1), {}), (torch.randn(4, 4), {"valid": nobody})]
    if form != "dcl_as_printed":  # as printed the other frames of one instruction are negatives
        cases.append((torch.randn(4, 4), {"positive": everyone}))
    for scores, arguments in cases:
        scores.requires_grad_()
        loss = contrast(scores, form=form, **arguments)
        loss.backward()
        assert loss.item() == 0
        assert scores.grad is not None and torch.equal(scores.grad, torch.zeros_like(scores))


def test_the_temperature_is_learnt_within_its_range() -> None:
    t = Temperature()
    assert t(torch.ones(())).item() == pytest.approx(1 / 0.07, rel=1e-6)
    with torch.no_grad():
        t.log_scale.fill_(50.0)
    t.clamp()
    assert t(torch.ones(())).item() == pytest.approx(100, rel=1e-5)
    with torch.no_grad():
        t.log_scale.fill_(-3.0)
    t.clamp()
    assert t(torch.ones(())).item() == 1


def test_global_contrast_does_not_depend_on_lengths_and_is_least_for_the_teachers_own_directions() -> None:
    g = GlobalContrast(12, 16)
    features, images, words = torch.randn(6, 12), torch.randn(6, 16), torch.randn(6, 16)
    said = torch.arange(6)
    ours = g(g.embed(features), images, words, said)
    longer = g(g.embed(7 * features), 3 * images, 0.1 * words, said)
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(ours, longer, strict=True))
    same = nn.functional.normalize(images, dim=-1)
    assert g(same, images, images, said)[0] < ours[0]


# -- local alignment


def test_projection_and_visibility_agree_with_the_camera_room() -> None:
    rng = np.random.default_rng(0)
    points = rng.normal(size=(20, 3)) + np.array([0, 2, 0])
    extrinsics = camera.look_at(np.array([0.3, -1, 0.5]), np.array([0.0, 2, 0]), np.array([0.0, 0, 1]))
    intrinsics = camera.intrinsics_from_fovy(60, 48, 64)
    pixels, depth = project(*(torch.from_numpy(a).float()[None] for a in (points, intrinsics, extrinsics)))
    theirs, distance = camera.project(points, intrinsics, extrinsics)
    assert np.allclose(pixels[0].numpy()[distance > 0], theirs[distance > 0], atol=1e-3)
    assert np.allclose(depth[0].numpy(), distance, atol=1e-5)


def test_only_what_the_camera_sees_is_visible() -> None:
    pixels = torch.tensor([[[3.5, 2.5], [3.5, 2.5], [3.5, 2.5], [-0.1, 2.0], [8.0, 2.0], [1.0, 1.0], [2.0, 1.0]]])
    depth = torch.tensor([[1.0, 1.015, 1.1, 1.0, 1.0, 1.0, -1.0]])
    seen = torch.ones(1, 6, 8)
    seen[0, 1, 1] = torch.nan
    assert visible(pixels, depth, seen).tolist() == [[True, True, False, False, False, False, False]]
    assert not visible(pixels, depth, torch.full((1, 6, 8), torch.inf)).any()


def test_deformable_sampling_is_deformable_detrs() -> None:
    transformers = pytest.importorskip("transformers", reason="the oracle for networks: pip install -e .[dev]")
    from transformers.models.deformable_detr.modeling_deformable_detr import DeformableDetrMultiscaleDeformableAttention

    width, heads, points, rows, columns = 32, 4, 3, 5, 7
    config = transformers.DeformableDetrConfig(
        d_model=width,
        encoder_n_points=points,
        num_feature_levels=1,
        disable_custom_kernels=True,
        backbone_config=transformers.ResNetConfig(),
    )
    theirs = DeformableDetrMultiscaleDeformableAttention(config, num_heads=heads, n_points=points)
    ours = DeformableSampling(width, width, width, heads, points)
    start = ours.offsets.bias.view(heads, points, 2)
    assert torch.allclose(start[0], torch.tensor([[1.0, 0], [2, 0], [3, 0]]), atol=1e-6)
    assert torch.allclose(start[1], torch.tensor([[0.0, 1], [0, 2], [0, 3]]), atol=1e-6), "as Zhu et al., appendix"
    with torch.no_grad():
        for p in theirs.parameters():
            p.normal_(std=0.3)
        pairs = {
            "offsets": theirs.sampling_offsets,
            "weights": theirs.attention_weights,
            "value": theirs.value_proj,
            "output": theirs.output_proj,
        }
        for name, layer in pairs.items():
            getattr(ours, name).load_state_dict(layer.state_dict())
    queries, reference = torch.randn(2, 6, width), torch.rand(2, 6, 2)
    feature_map = torch.randn(2, rows, columns, width)
    expected, _ = theirs(
        hidden_states=queries,
        encoder_hidden_states=feature_map.flatten(1, 2),
        reference_points=reference.unsqueeze(2),
        spatial_shapes=torch.tensor([[rows, columns]]),
        spatial_shapes_list=[(rows, columns)],
        level_start_index=torch.tensor([0]),
    )
    found = ours(queries, reference, feature_map)
    assert ((found - expected).norm() / expected.norm()).item() < 1e-5


def test_a_query_at_the_middle_of_a_cell_reads_that_cell() -> None:
    sampling = DeformableSampling(8, 3, 3, heads=1, points=1)
    with torch.no_grad():
        sampling.offsets.bias.zero_()
        for layer in (sampling.value, sampling.output):
            layer.weight.copy_(torch.eye(3))
    feature_map = torch.randn(1, 4, 6, 3)
    reference = torch.tensor([[[(2 + 0.5) / 6, (1 + 0.5) / 4]]])
    assert torch.allclose(sampling(torch.randn(1, 1, 8), reference, feature_map)[0, 0], feature_map[0, 1, 2], atol=1e-6)


def test_negatives_are_of_the_same_image_or_of_all() -> None:
    b = batch(3)
    tokens = torch.randn(3, 8, 32)
    reference, seen = torch.rand(3, 8, 2), torch.ones(3, 8, dtype=torch.bool)
    torch.manual_seed(0)
    within = LocalAlignment(32, 24, 16, 4)
    across = LocalAlignment(32, 24, 16, 4, negatives="batch")
    across.load_state_dict(within.state_dict())
    one = torch.stack(
        [within(tokens[i : i + 1], b["image_map"][i : i + 1], reference[i : i + 1], seen[i : i + 1]) for i in range(3)]
    ).mean()
    assert torch.allclose(within(tokens, b["image_map"], reference, seen), one, atol=1e-6)
    assert across(tokens, b["image_map"], reference, seen) > one, "24 candidates are harder than 8"


# -- the whole


def test_the_total_is_equation_7() -> None:
    m, b = model(cd_scale=1.0), batch()
    terms = terms_of(m, b)
    expected = 1.5 * terms["mae"] + 0.5 * terms["image"] + 0.5 * terms["text"] + 0.5 * terms["local"]
    assert torch.allclose(m.total(terms), expected)
    assert set(terms) == {"mae", "image", "text", "local", "seen"}
    assert 0.5 < terms["seen"] <= 1
    scaled = model(cd_scale=100.0)
    assert torch.allclose(scaled.total(terms) - m.total(terms), 1.5 * 99 * terms["mae"], rtol=1e-4)


@pytest.mark.parametrize(
    ("options", "terms"),
    [
        ({"mae": False}, {"image", "text", "local", "seen"}),
        ({"local": False}, {"mae", "image", "text"}),
        ({"local": False, "contrast": False}, {"mae"}),
    ],
)
def test_the_switches_of_table_v(options: dict[str, bool], terms: set[str]) -> None:
    m = model(**options)
    found = terms_of(m, batch())
    assert set(found) == terms
    m.total(found).backward()
    reached = {name for name, p in m.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}
    assert any(name.startswith("representation.encoder") for name in reached)
    parts = {name.partition(".")[0] for name, _ in m.named_parameters()}
    assert parts == {"representation"} | ({"decoder"} if "mae" in terms else set()) | (
        {"contrast"} if "image" in terms else set()
    ) | ({"local"} if "local" in terms else set())


def test_nothing_to_train_for_is_refused() -> None:
    with pytest.raises(ValueError, match="nothing is left"):
        Options(mae=False, contrast=False, local=False)


def test_every_parameter_is_trained_by_the_whole_objective() -> None:
    m = model()
    m.total(terms_of(m, batch())).backward()
    idle = [name for name, p in m.named_parameters() if p.grad is None or p.grad.abs().sum() == 0]
    assert idle == []


def test_augmented_clouds_keep_their_places_in_the_picture() -> None:
    plain, augmented = model().train(), model(augment="scale-translate").train()
    b = batch()
    torch.manual_seed(1)
    one = plain(b)
    torch.manual_seed(1)
    other = augmented(b)
    assert torch.equal(one["seen"], other["seen"])
    assert not torch.allclose(one["clouds"], other["clouds"])
    quiet = model(augment="scale-translate").eval()(b)["clouds"]
    assert torch.allclose(quiet, model().eval()(b)["clouds"], atol=1e-5), "only in training"


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
def test_bad_batches_give_finite_losses_and_gradients(form: str) -> None:
    nan_depth, one_text = batch(), batch()
    nan_depth["depth"] = torch.full_like(nan_depth["depth"], torch.nan)
    one_text["said"] = torch.zeros(4, dtype=torch.int64)
    behind = batch()
    behind["extrinsics"] = behind["extrinsics"].clone()
    behind["extrinsics"][:, 1, 3] = 5.0
    padded = batch()
    padded["points_valid"][:, 3:] = False
    for name, b in {"nan": nan_depth, "text": one_text, "behind": behind, "padded": padded}.items():
        m = model(form=form)
        terms = terms_of(m, b)
        m.total(terms).backward()
        assert all(torch.isfinite(value) for value in terms.values()), name
        assert all(torch.isfinite(p.grad).all() for p in m.parameters() if p.grad is not None), name
    assert terms_of(model(), nan_depth)["local"] == 0
    assert terms_of(model(), behind)["seen"] == 0
    assert terms_of(model(), one_text)["text"] == 0


def test_a_single_sample_has_no_contrast_but_can_be_reconstructed() -> None:
    m = model()
    terms = terms_of(m, batch(1))
    assert terms["image"] == 0 and terms["text"] == 0
    assert terms["mae"] > 0 and terms["local"] > 0
