"""An option may choose what a method sees and what of it is trained: the card says it, and so does what is built."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from baselines.dp3 import DP3
from baselines.facts import shipped_facts
from benchmark.cli.options import say_observe
from benchmark.experiment.make_cells import make_cells
from benchmark.experiment.run_cell import run_cell
from benchmark.records.consistency import contradictions
from benchmark.records.paths import Paths
from benchmark.settings.load import load_settings
from methods.card import ImageInput
from methods.preprocess import ColorRange, depth_pictures, prepare_images, prepare_pictures
from methods.testing import random_observations
from tests.methods.test_contract import RULES, contract
from tests.test_methods_run import FAST, SHORT

CASES = [("dp3", {"color": "true"}), ("r3m-resnet18", {"observe": "rgbd"})]


@pytest.mark.slow
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize(("method", "options"), CASES, ids=["-".join([m, *o.values()]) for m, o in CASES])
def test_the_contract_holds_under_the_option(method: str, options: dict[str, str], rule: str) -> None:
    found = contract(method)
    found.options = options  # type: ignore[misc]
    getattr(found, rule)()


def test_a_class_whose_card_does_not_change_is_the_same() -> None:
    assert DP3.under({}) is DP3
    assert DP3.under({"color": "false"}) is DP3
    coloured = DP3.under({"color": "true"})
    assert coloured is DP3.under({"color": "true"})
    assert coloured.card == dataclasses.replace(
        DP3.card,
        observes=("points", "points_valid", "point_colors"),
        parameters=207_232,
        parameters_source="counted in the authors' network for coloured points",
    )


def test_depth_is_a_grey_picture_that_is_black_where_nothing_is_hit() -> None:
    depth = torch.tensor([[[0.0, 1.0], [3.0, torch.inf]]])
    found = depth_pictures(depth)
    assert found.shape == (1, 3, 2, 2)
    assert torch.equal(found[0, 2], torch.tensor([[255.0, 127.5], [63.75, 0.0]]))
    card = ImageInput(5, (0, 1), (0.0,) * 3, (1.0,) * 3, resize="stretch")
    assert prepare_pictures(found, card).isfinite().all(), "interpolation never meets inf"


@pytest.mark.slow
def test_rgbd_is_the_same_network_on_pictures_and_on_depth() -> None:
    found = contract("r3m-resnet18")
    found.options, found.cameras = {"observe": "rgbd"}, ("corner", "corner2")  # type: ignore[misc]
    torch.manual_seed(0)
    both = found.kind()(found.specs(), observe="rgbd").eval()
    seen = random_observations(found.specs(), 2)
    seen["depth"][:, :, :40] = torch.inf
    with torch.no_grad():
        feature = both.encode(seen)
        tokens = both.encode_tokens(seen)
        rgb = both.network(prepare_images(seen["rgb"].flatten(0, 1), both.image_input)).view(2, -1)
        pictures = prepare_pictures(depth_pictures(seen["depth"].flatten(0, 1)), both.image_input)
        depth = both.network(pictures).view(2, -1)
    assert feature.shape == (2, both.feature_dim) == (2, 2 * 2 * 512)
    torch.testing.assert_close(feature, torch.cat([rgb, depth], 1))
    torch.testing.assert_close(tokens[:, tokens.shape[1] // 2 :], both.network.tokens(pictures).reshape(2, -1, 512))


@pytest.mark.gl
@pytest.mark.slow
def test_rgbd_goes_from_demonstrations_to_a_record(tmp_path_factory: pytest.TempPathFactory) -> None:
    settings = load_settings("metaworld-15", "quick", "mlp", [*SHORT, *FAST, *say_observe("rgbd")])
    (cell,) = make_cells(settings, ["reach"], ["r3m-resnet18"], [0], "random")
    paths = Paths(tmp_path_factory.mktemp("out"), tmp_path_factory.getbasetemp() / "demos")
    record, _ = run_cell(cell, paths, "test")
    assert list(contradictions(record)) == []
    assert record.identity["method"]["observes"] == ["rgb", "depth"]
    assert record.method == "r3m-resnet18+observe=rgbd+weights=random"


def test_the_range_of_colours_is_that_of_valid_points() -> None:
    colors = torch.tensor([[[10, 20, 30], [110, 20, 130], [255, 255, 255]]], dtype=torch.uint8)
    valid = torch.tensor([[True, True, False]])
    network = ColorRange()
    network.fit(colors, valid)
    found = network(colors, valid)
    assert torch.equal(found[0, 0], torch.tensor([-1.0, -1.0, -1.0]))
    assert torch.equal(found[0, 1], torch.tensor([1.0, -1.0, 1.0]))
    assert torch.equal(found[0, 2], found[0, 0]), "padding repeats the first point"


@pytest.mark.gl
@pytest.mark.slow
def test_coloured_points_go_from_demonstrations_to_a_record(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The settings of a record say what the option changed, and it does not contradict itself."""
    settings = load_settings("metaworld-15", "quick", "mlp", [*SHORT, *FAST, "method.color=true"])
    (cell,) = make_cells(settings, ["reach"], ["dp3"], [0])
    paths = Paths(tmp_path_factory.mktemp("out"), tmp_path_factory.getbasetemp() / "demos")
    record, _ = run_cell(cell, paths, "test")
    assert list(contradictions(record)) == []
    assert record.identity["method"]["observes"] == ["points", "points_valid", "point_colors"]
    assert record.training["parameters_encoder"] == 207_232


def test_settings_card_and_facts_say_what_an_option_changes() -> None:
    """R3M whose statistics move was frozen in its settings and not by its card: no record of it could be left."""
    settings = load_settings("metaworld-15", "quick", "mlp", ["method.compat=lift3d"])
    (cell,) = make_cells(settings, ["reach"], ["r3m-resnet18"], [0], "random")
    assert cell.identity()["method"]["training"] == "partial"
    assert cell.build(cell.specs()).card.training == "partial"
    facts = shipped_facts("r3m-resnet18")
    assert facts is not None
    assert (facts.training, facts.under({"compat": "lift3d"}).training) == ("frozen", "partial")
