"""Training without rollouts: losses that are the same after a kill, and are never taken for anything else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmark.experiment.make_cells import make_cells
from benchmark.experiment.run_cell import run_cell
from benchmark.experiment.train_only import losses_file, train_cell, train_cells
from benchmark.records.paths import Paths
from benchmark.settings.settings import Settings
from benchmark.system.errors import OtherSettings

pytestmark = pytest.mark.slow


def test_losses_are_those_of_the_run_with_rollouts(
    tmp_path: Path, toy_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    (cell,) = make_cells(toy_settings, ["near"], ["state"], [0])
    paths = Paths(tmp_path / "runs", tmp_path / "data")
    played = []
    monkeypatch.setattr("benchmark.experiment.cell_run.rollout", lambda *_a, **_k: played.append(1))
    data = train_cell(cell, paths, "x", overwrite=False)
    assert not played and data["rollouts"] is False
    file = losses_file(cell, paths)
    assert json.loads(file.read_text()) == data
    monkeypatch.undo()
    record, _ = run_cell(cell, paths, "x")
    for one, evaluation in zip(data["losses"], record.evaluations, strict=True):
        assert one["train_loss"] == evaluation.train_loss and one["valid_loss"] == evaluation.valid_loss
    file.unlink()
    file.with_suffix("").joinpath("epoch-0004.pt").unlink()
    again = train_cell(cell, paths, "x", overwrite=False)
    assert again["losses"] == data["losses"], "it goes on where it was stopped"
    file.write_text(file.read_text().replace('"valid": 1', '"valid": 2'))
    with pytest.raises(OtherSettings, match="is damaged.*--overwrite"):
        train_cell(cell, paths, "x", overwrite=False)
    assert train_cell(cell, paths, "x", overwrite=True)["losses"] == data["losses"]
    (other,) = make_cells(toy_settings, ["near"], ["proprio-only"], [0])
    target = losses_file(other, paths)
    target.parent.mkdir(parents=True)
    target.write_text(file.read_text())
    with pytest.raises(OtherSettings, match="under other settings"):
        train_cell(other, paths, "x", overwrite=False)
    found = train_cells([other, cell], paths, "x", overwrite=False)
    assert len(found.done) == 1 and "under other settings" in found.failed[0]["error"]
