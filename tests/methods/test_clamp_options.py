"""CLAMP's encoders as Table III varies them: fewer views, without STRING, trained; and how they are pre-trained so."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from baselines.dp3 import DP3
from benchmark.pretrain.job import make_job
from benchmark.settings.clamp_pretraining import ClampPretrainConfig
from benchmark.settings.pretraining import load_pretrain
from benchmark.system.errors import ConfigError
from envs.errors import SpecMismatch
from envs.spec import FieldSpec
from methods.clamp.encoder import ImageEncoder
from methods.clamp.points import POINTS, PointEncoder
from methods.clamp.pretraining import ClampPretraining, Options
from methods.clamp.representation import CLAMP, CLAMPSmall
from methods.clamp.text import TextConfig
from methods.errors import BadWeights
from methods.pooling import pointwise_max
from tests.policy.test_beside import specs_of

SPECS = specs_of(4)
NEW = {"string", "wrist_views", "layout", "image"}
"""Settings of the pre-training that came later."""


def seen() -> dict[str, torch.Tensor]:
    draws = torch.Generator().manual_seed(0)
    return {
        "views": torch.rand(1, 5, 224, 224, 4, generator=draws),
        "views_valid": torch.rand(1, 5, 224, 224, generator=draws) > 0.5,
        "past_actions": torch.rand(1, 50, 4, generator=draws),
    }


def made(**options: str) -> CLAMP:
    torch.manual_seed(0)
    return CLAMPSmall(SPECS, **options).eval()


def test_without_the_wrists_views_three_are_seen() -> None:
    clamp, rows = made(views="fixed"), seen()
    assert clamp.token_count == 3 * 49 + 50
    with torch.no_grad():
        before = clamp.encode_tokens(rows)
        assert before.shape == (1, clamp.token_count, 128)
        wrists = rows["views"].clone()
        wrists[:, 3:] += 1
        assert torch.equal(clamp.encode_tokens({**rows, "views": wrists}), before)
        corner = rows["views"].clone()
        corner[:, 2] += 1
        assert not torch.allclose(clamp.encode_tokens({**rows, "views": corner}), before)


def test_without_string_places_are_not_in_attention() -> None:
    """Of the same weights: what is left of an encoder without STRING is one with rotations by nothing."""
    plain, whole, rows = made(string="false"), made(), seen()
    assert isinstance(whole.images, ImageEncoder)
    assert not [name for name in plain.state_dict() if ".string." in name]
    shared = {name: value for name, value in whole.state_dict().items() if ".string." not in name}
    plain.load_state_dict(shared)
    for layer in whole.images.string:
        layer.frequency.data.zero_()  # type: ignore[operator, union-attr]
    with torch.no_grad():
        torch.testing.assert_close(plain.view_tokens(rows), whole.view_tokens(rows), rtol=1e-4, atol=1e-4)


def test_a_card_that_was_another_for_a_while_leaves_no_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    trained = CLAMPSmall.card.under({"frozen": "false"})
    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(CLAMPSmall, "card", trained)
        assert CLAMPSmall.under({"frozen": "false"}) is CLAMPSmall
    assert CLAMPSmall.card.training == "frozen" and CLAMPSmall.under({"frozen": "false"}).card == trained


def test_unfrozen_everything_is_trained() -> None:
    kind = CLAMPSmall.under({"frozen": "false"})
    assert kind.card.training == "end-to-end" and CLAMPSmall.card.training == "frozen"
    clamp = kind(SPECS, frozen="false")
    clamp.freeze_as_card_says()
    clamp.train()
    assert clamp.frozen_part is None and clamp.actions.layers.training
    assert all(parameter.requires_grad for parameter in clamp.parameters())


@pytest.mark.parametrize(
    ("there", "here", "said"),
    [
        ({"string": "false"}, {}, "was pre-trained with string=false: give method.string=false"),
        ({}, {"string": "false"}, "was pre-trained with string=true: give method.string=true"),
        ({"views": "fixed"}, {}, "was pre-trained with views=fixed: give method.views=fixed"),
        ({}, {"views": "fixed"}, "was pre-trained with views=five: give method.views=five"),
        ({"layout": "dome"}, {}, "was pre-trained with layout=dome: give method.layout=dome"),
        ({}, {"layout": "dome"}, "was pre-trained with layout=five: give method.layout=five"),
        ({"views": "fixed"}, {"layout": "dome"}, "was pre-trained with layout=five: give method.layout=five"),
        ({"image": "dp3"}, {}, "was pre-trained with image=dp3: give method.image=dp3"),
        ({}, {"image": "dp3"}, "was pre-trained with image=vit: give method.image=vit"),
        ({"layout": "dome"}, {"image": "dp3"}, "was pre-trained with image=vit: give method.image=vit"),
    ],
)
def test_weights_of_another_variation_are_one_line(
    there: dict[str, str], here: dict[str, str], said: str, tmp_path: Path
) -> None:
    torch.save({"representation": made(**there).state_dict()}, tmp_path / "other.pt")
    with pytest.raises(BadWeights, match=said):
        made(**here).load_weights([tmp_path / "other.pt"])
    same = made(**there)
    same.load_weights([tmp_path / "other.pt"])


@pytest.mark.slow
def test_a_pretraining_says_what_is_off_and_its_earlier_names_stay() -> None:
    whole = load_pretrain("clamp-small")
    assert isinstance(whole, ClampPretrainConfig) and not NEW & set(whole.identity())
    for without, variant, options in (
        ((), "full", {}),
        (("text",), "without-text", {}),
        (("string",), "without-string", {"string": "false"}),
        (("wrist_views",), "without-wrist-views", {"views": "fixed"}),
    ):
        job = make_job("clamp-small", ["metaworld-34"], without)
        assert isinstance(job.config, ClampPretrainConfig)
        assert (job.config.variant, job.config.encoder_options()) == (variant, options)
        assert job.label == f"metaworld-34-{variant}"
        model = job.config.objective(CLAMPSmall, SPECS).kind(SPECS, **options)
        assert model.token_count == (made(**options)).token_count
    with pytest.raises(ConfigError, match="--without dome is none of text, string, wrist_views"):
        make_job("clamp-small", ["metaworld-34"], ["dome"])


@pytest.mark.slow
@pytest.mark.parametrize(("layout", "views", "size", "tokens"), [("orthogonal", 5, 224, 245), ("dome", 16, 96, 144)])
def test_other_layouts_are_as_many_tokens_as_their_patches(layout: str, views: int, size: int, tokens: int) -> None:
    clamp = made(layout=layout)
    assert clamp.token_count == tokens + 50
    rows = seen() | {"views": torch.rand(1, views, size, size, 4), "views_valid": torch.ones(1, views, size, size) > 0}
    with torch.no_grad():
        before = clamp.encode_tokens(rows)
        assert before.shape == (1, clamp.token_count, 128)
        rows["views"][:, -1, -1, -1] += 1
        assert not torch.equal(clamp.encode_tokens(rows), before), "the last pixel of the last view is seen"
    with torch.device("meta"):
        papers = CLAMP(specs_of(), layout=layout)
    assert papers.token_count == 50 + views * (size // 16) ** 2, "980 as of five views, 576 of the dome"


def test_layouts_are_on_the_card_and_what_cannot_be_together_is_refused() -> None:
    assert CLAMPSmall.card.layout == CLAMPSmall.under({"image": "dp3"}).card.layout == "five"
    assert CLAMPSmall.under({"layout": "dome"}).card.layout == "dome"
    assert "layout" not in CLAMPSmall.card.as_dict(), "cards from before there was one"
    for options, said in (
        ({"layout": "dome", "views": "fixed"}, "views=fixed leaves the wrists' views out, and layout=dome has none"),
        ({"image": "dp3", "string": "false"}, "string=false is of the ViT, and image=dp3 has none"),
    ):
        with pytest.raises(SpecMismatch, match=said):
            CLAMPSmall.under(options)
        told = ["layout=dome"] if "layout" in options else ["image=dp3"]
        off = ["wrist_views"] if "views" in options else ["string"]
        with pytest.raises(ConfigError, match=said):
            make_job("clamp-small", ["metaworld-34"], off, None, told)
    for wrong, said in (("layout=ring", "layout=ring is none of five, orthogonal, dome"), ("image=x", "none of vit")):
        with pytest.raises(ConfigError, match=said):
            make_job("clamp-small", ["metaworld-34"], (), None, [wrong])


def test_a_pretraining_of_another_layout_draws_other_frames_and_the_default_is_named_as_before() -> None:
    usual = make_job("clamp-small", ["metaworld-34"])
    assert not NEW & set(usual.identity()["config"]) and "layout" not in usual.identity()["data"][0]
    for said, variant, drawn in (("layout=dome", "dome", "dome"), ("image=dp3", "dp3", None)):
        job = make_job("clamp-small", ["metaworld-34"], (), None, [said])
        name, _, value = said.partition("=")
        assert job.identity()["config"][name] == value and job.config.variant == variant
        assert job.identity()["data"][0].get("layout") == drawn and job.identity_hash() != usual.identity_hash()
        assert job.label == f"metaworld-34-{variant}"
    both = make_job("clamp-small", ["metaworld-34"], ("text",), None, ["layout=orthogonal", "image=dp3"])
    assert both.config.variant == "orthogonal-dp3-without-text"


@pytest.mark.slow
def test_points_in_place_of_pictures_are_those_that_the_views_show() -> None:
    """One token, of DP3's network over the places of filled pixels; what is in empty ones is never read."""
    clamp, rows = made(image="dp3"), seen()
    assert isinstance(clamp.images, PointEncoder) and clamp.token_count == 1 + 50
    views, valid = rows["views"], rows["views_valid"]
    cloud = clamp.images.cloud(views, valid)
    assert cloud.shape == (1, POINTS, 3) and len(torch.unique(cloud[0], dim=0)) == POINTS, "no point twice"
    shown = {tuple(point) for point in views[valid][:, 1:].tolist()}
    assert {tuple(point) for point in cloud[0].tolist()} <= shown
    of_view = [
        int(sum((views[0, n, ..., 1:].reshape(-1, 3) == p).all(-1).any() for p in cloud[0, :200])) for n in range(5)
    ]
    assert sum(of_view) == 200 and min(of_view) > 20, "of all views"
    with torch.no_grad():
        before = clamp.encode_tokens(rows)
        empty = torch.where(valid.unsqueeze(-1), views, torch.full((), float("nan")))
        assert torch.equal(clamp.encode_tokens({**rows, "views": empty}), before)
        depth = views.clone()
        depth[..., 0] += 1
        assert torch.equal(clamp.encode_tokens({**rows, "views": depth}), before), "depth is no part of a cloud"
        dp3 = DP3({name: FieldSpec(name, (1024, 3), "float32", "m") for name in DP3.card.observes})
        dp3.network.load_state_dict(clamp.images.network.state_dict())
        expected = clamp.images.projection(pointwise_max(dp3.network, cloud))
        torch.testing.assert_close(before[:, 0], expected)
        assert torch.equal(clamp.encode(rows)[:, :128], before[:, 0]), "the token is what is compared"


def test_a_cloud_of_few_points_is_those_and_of_none_is_zeros() -> None:
    clamp, rows = made(image="dp3"), seen()
    assert isinstance(clamp.images, PointEncoder)
    valid = torch.zeros(3, 5, 224, 224, dtype=torch.bool)
    valid[0, 4, 7, 9] = valid[0, 0, 0, 0] = valid[0, 2, 223, 223] = valid[2, 4, 223, 223] = True
    views = rows["views"].expand(3, -1, -1, -1, -1)
    cloud = clamp.images.cloud(views, valid)
    assert {tuple(one) for one in cloud[0].tolist()} == {tuple(one) for one in views[0][valid[0]][:, 1:].tolist()}
    assert not cloud[1].any() and torch.equal(cloud[2], views[2, 4, 223, 223, 1:].expand(POINTS, 3))


def test_the_point_encoder_learns_in_pretraining_and_has_its_size() -> None:
    with torch.device("meta"):
        papers = CLAMP(specs_of(), image="dp3")
    count = sum(one.numel() for one in papers.images.parameters())
    assert count == 59_072 - 16_576 + (256 + 1 + 2) * 768, "DP3's, but for its projection to 64"
    clamp = CLAMPSmall(SPECS, image="dp3")
    model = ClampPretraining(clamp, Options(text=False), TextConfig())
    model.train()
    rows = {name: value.repeat(2, *[1] * (value.dim() - 1)) for name, value in seen().items()}
    rows["views"][1] *= 0.5
    sum(model.batch_terms(model(rows), rows).values()).backward()  # type: ignore[union-attr]
    assert all(one.grad is not None and one.grad.any() for one in clamp.images.projection.parameters())
    assert clamp.images.network[0].weight.grad.any()  # type: ignore[union-attr, index, operator]
