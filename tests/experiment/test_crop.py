"""`suite.observation.crop` from the command line to the simulator, the cache's key and the cell's identity."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from benchmark.data.observations import cache_key
from benchmark.experiment.make_cells import make_cells
from benchmark.experiment.retest_shifted import moved_cameras
from benchmark.pretrain.data.simulated import _request
from benchmark.pretrain.data.sources import load_data
from benchmark.settings.load import choices, load_settings
from benchmark.settings.suite import Suite
from benchmark.system.errors import ConfigError
from envs import metaworld, views
from envs.crop import Crop, NamedCrop
from envs.errors import SpecMismatch
from envs.metaworld import WORKSPACE
from tests.test_cli import here

ROOT = Path(__file__).resolve().parents[2]


def suite(*overrides: str, name: str = "metaworld-15") -> Suite:
    return load_settings(name, "quick", "mlp", list(overrides)).suite


def crop(*overrides: str) -> Any:
    return suite(*overrides).request(("points", "points_valid"), 1024).crop


@pytest.mark.parametrize("name", choices("suite"))
def test_every_suite_takes_a_crop(name: str) -> None:
    assert "crop" not in suite(name=name).observation, "null says nothing: identities are as they were"
    given = suite("suite.observation.crop=[-0.6,0.3,0,0.6,0.9,2]", name=name).request(("points",), None)
    assert given.crop == Crop((-0.6, 0.3, 0.0), (0.6, 0.9, 2.0))


def test_null_is_the_simulators_own_as_numbers() -> None:
    assert crop() == crop("suite.observation.crop=null") == WORKSPACE
    lift3d = crop("suite.observation.crop=lift3d")
    assert isinstance(lift3d, NamedCrop) and lift3d.name == "lift3d"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("[1,2,3]", "suite.observation.crop: a crop is"),
        ("[0,0,0,1,1,0]", "low before high"),
        ("[0,0,0,1,1,nan]", "finite numbers"),
        ("[0,0,0,1,1,x]", "suite.observation.crop: a crop is"),
        ("true", "suite.observation.crop: a crop is"),
        ("lift4d", "MetaWorld has no crop named 'lift4d', only lift3d"),
    ],
)
def test_bad_crops_are_one_line(value: str, message: str) -> None:
    with pytest.raises((ConfigError, SpecMismatch), match=message) as error:
        crop(f"suite.observation.crop={value}")
    assert "\n" not in str(error.value)


def test_the_verb_says_it_too() -> None:
    command = [
        "run",
        "--suite",
        "metaworld-15",
        "--tasks",
        "reach",
        "--method",
        "dp3",
        "--dry-run",
        "suite.observation.cameras=[corner3]",
        "suite.observation.crop=lift3d",
    ]
    code, _, err = here(*command)
    assert code == 2 and "lift3d has no box for the camera corner3" in err, err
    assert "Traceback" not in err


def test_a_shifted_camera_has_no_box_of_lift3ds() -> None:
    settings = load_settings("metaworld-15", "quick", "mlp", ["suite.observation.crop=lift3d"])
    with pytest.raises(SpecMismatch, match="no box for the camera corner@azimuth=10"):
        moved_cameras(settings, "azimuth=10:10:10")


DEMOS: Any = SimpleNamespace(task="reach", content_hash="abc")


@pytest.mark.parametrize(
    ("name", "value", "methods"),
    [
        ("WORKSPACE", Crop((-0.6, 0.3, 0.0), (0.6, 0.9, 2.0)), {"dp3", "clamp"}),
        (
            "FIXED_VIEWS",
            (views.VirtualCamera("overhead", (0.0, 0.6, 1.1), (0.0, 0.6, 0.0), (0.0, 1.0, 0.0)),),
            {"clamp"},
        ),
        ("WRIST_EYE", (0.0, -0.1, 0.08), {"clamp"}),
        ("WRIST_TARGET", (0.0, 0.0, -0.08), {"clamp"}),
    ],
)
def test_a_changed_constant_is_another_cache_entry_and_another_cell(
    name: str, value: Any, methods: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = load_settings("metaworld-15", "quick", "mlp")
    weights = {"dp3": None, "clamp": "random", "r3m": "random", "state": None}
    cells = [make_cells(settings, ["reach"], [method], [0], given)[0] for method, given in weights.items()]

    def names() -> dict[str, tuple[str, str]]:
        return {c.method: (cache_key(DEMOS, c.request, "x"), c.identity_hash()) for c in cells}

    before = names()
    monkeypatch.setattr(metaworld, name, value)
    after = names()
    assert {m for m in before if before[m][0] != after[m][0]} == methods
    assert {m for m in before if before[m][1] != after[m][1]} == methods


def test_pretraining_names_its_crop_too() -> None:
    config = load_data("metaworld-35")
    assert _request(config, ("corner",), True).canonical()["crop"] == {
        "low": list(WORKSPACE.low),
        "high": list(WORKSPACE.high),
    }
    with pytest.raises(ConfigError, match="low before high"):
        dataclasses.replace(config, crop=(1.0, 0.0, 0.0, 0.5, 1.0, 1.0))
