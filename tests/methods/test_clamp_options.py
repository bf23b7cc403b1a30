"""CLAMP's encoders as Table III varies them: fewer views, without STRING, trained; and how they are pre-trained so."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from benchmark.pretrain.job import make_job
from benchmark.settings.clamp_pretraining import ClampPretrainConfig
from benchmark.settings.pretraining import load_pretrain
from benchmark.system.errors import ConfigError
from methods.clamp.representation import CLAMP, CLAMPSmall
from methods.errors import BadWeights
from tests.policy.test_beside import specs_of

SPECS = specs_of(4)


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
    assert not [name for name in plain.state_dict() if ".string." in name]
    shared = {name: value for name, value in whole.state_dict().items() if ".string." not in name}
    plain.load_state_dict(shared)
    for layer in whole.images.string:
        layer.frequency.data.zero_()  # type: ignore[operator, union-attr]
    with torch.no_grad():
        torch.testing.assert_close(plain.view_tokens(rows), whole.view_tokens(rows), rtol=1e-4, atol=1e-4)


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


def test_a_pretraining_says_what_is_off_and_its_earlier_names_stay() -> None:
    whole = load_pretrain("clamp-small")
    assert isinstance(whole, ClampPretrainConfig) and not {"string", "wrist_views"} & set(whole.identity())
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
