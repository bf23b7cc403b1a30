"""Features that travel: trained without the weights, rolled out with them, the same record as at home."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmark.experiment.cell import Cell
from benchmark.experiment.exported_features import NAMES, BadExport, export, known_weights, read_export, train_from
from benchmark.experiment.make_cells import make_cells
from benchmark.experiment.run_cell import run_cell
from benchmark.records.paths import Paths
from benchmark.records.record import Record
from benchmark.settings.load import load_settings
from benchmark.settings.settings import Settings
from benchmark.settings.task_rules import TaskRules
from benchmark.system.errors import ConfigError
from methods.errors import WeightsMissing
from methods.registry import method_class

METHOD = f"{Path(__file__).parents[1] / 'frozen_toy.py'}:FrozenToy"


WHOLE, RAGGED = TaskRules(), TaskRules(min_success_steps=1, stop_after_success=3)


def comparable(record: Record) -> dict[str, object]:
    data = dataclasses.asdict(record)
    return {key: value for key, value in data.items() if key not in ("timings", "provenance", "seal")}


@pytest.fixture
def weights(tmp_path: Path) -> str:
    torch.manual_seed(3)
    network = torch.nn.Sequential(torch.nn.Linear(4, 16), torch.nn.Tanh())
    torch.save(network.state_dict(), tmp_path / "toy.pt")
    return str(tmp_path / "toy.pt")


def cell_of(settings: Settings, weights: object) -> Cell:
    (cell,) = make_cells(settings, ["near"], [METHOD], [0], weights)  # type: ignore[arg-type]
    return cell


@pytest.mark.slow
@pytest.mark.parametrize(("head", "rules"), [("mlp", WHOLE), ("diffusion", WHOLE), ("mlp", RAGGED)])
def test_trained_elsewhere_is_trained_at_home(
    toy_settings: Settings, weights: str, tmp_path: Path, head: str, rules: TaskRules
) -> None:
    small = ["head.width=16", "head.heads=2", "head.warmup_steps=5"] if head == "diffusion" else []
    settings = dataclasses.replace(
        toy_settings,
        head=load_settings("metaworld-15", "quick", head, small).head,
        suite=dataclasses.replace(toy_settings.suite, rules=rules),
    )
    home = Paths(tmp_path / "home", tmp_path / "home" / "data")
    expected, _ = run_cell(cell_of(settings, weights), home, "test")
    file = export(cell_of(settings, weights), home, tmp_path / "files")
    facts, arrays = read_export(file)
    steps = [60] * 5 if rules is WHOLE else facts["steps"]
    assert arrays["feature"].shape == (sum(steps), 16) and (rules is WHOLE) == (facts["steps"] == 60)
    assert facts["method"] == "frozen-toy+weights=toy"

    away = Paths(tmp_path / "away", tmp_path / "away" / "data")
    elsewhere = cell_of(settings, known_weights(facts))
    assert elsewhere.identity_hash() == cell_of(settings, weights).identity_hash()
    checkpoints = train_from(elsewhere, facts, arrays, away)
    stamps = [path.stat().st_mtime_ns for path in checkpoints]
    assert len(checkpoints) == 2
    record, new = run_cell(cell_of(settings, weights), away, "test")
    assert new
    assert [path.stat().st_mtime_ns for path in checkpoints] == stamps, "nothing was trained again"
    assert comparable(record) == comparable(expected)
    assert record.weights["files"] == {"toy.pt": facts["weights_sha256"]["toy.pt"]}
    assert train_from(elsewhere, facts, arrays, away) == checkpoints


def test_what_cannot_travel_is_refused(toy_settings: Settings, weights: str, tmp_path: Path) -> None:
    paths = Paths(tmp_path, tmp_path / "data")
    with pytest.raises(WeightsMissing, match="nobody has published"):
        cell_of(toy_settings, None)
    points = load_settings("metaworld-15", "quick", "mlp")
    with pytest.raises(ConfigError, match="it is trained|is trained"):
        export(make_cells(points, ["reach"], ["dp3"], [0])[0], paths, tmp_path)
    (tmp_path / "junk.safetensors").write_bytes(b"junk")
    with pytest.raises(BadExport, match="no export of features"):
        read_export(tmp_path / "junk.safetensors")
    facts = {"steps": 200, "train_episodes": 25, "weights": "toy", "weights_sha256": {"toy.pt": "0"}}
    arrays = {"feature": np.zeros((1, 16), np.float32)}
    with pytest.raises(BadExport, match="25 training demonstrations of 200 steps"):
        train_from(cell_of(toy_settings, known_weights(facts)), facts, arrays, paths)
    cell = cell_of(toy_settings, known_weights(facts))
    names = {key: value for key, value in cell.identity().items() if key in NAMES}
    other = {**facts, "steps": 60, "train_episodes": 4}
    edited, elsewhere = {**names["method"], "source": "edited"}, {**names["env"], "version": "toy==2"}
    for key, value in (("method", edited), ("env", elsewhere), ("precision", "bf16")):
        with pytest.raises(BadExport, match="made under other settings or code than these"):
            train_from(cell, {**other, "names": {**names, key: value}}, arrays, paths)
    assert method_class(METHOD).card.name == "frozen-toy"
