"""Simulators whose seeds do not name their episodes: nothing is replayed, and a record says how its episodes began."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from benchmark.data.rlbench_import import import_tasks
from benchmark.experiment.cell_of_record import Where
from benchmark.experiment.cell_record import drawn_elsewhere
from benchmark.experiment.make_cells import make_cells
from benchmark.experiment.replay_checkpoints import play_checkpoints
from benchmark.experiment.run_cell import run_cell
from benchmark.experiment.task_data import load_demos, open_without_rollouts
from benchmark.records.audit import audit
from benchmark.records.beginnings import beginnings_file, not_replayable_facts
from benchmark.records.paths import Paths, work_of
from benchmark.records.read import read
from benchmark.records.replay_actions import Simulator
from benchmark.settings.load import load_settings
from benchmark.settings.settings import Settings
from benchmark.settings.suite import Suite
from tests.data import rlbench_data_set as made
from tests.rlbench_stand_in import stand_in

pytestmark = pytest.mark.slow

UNSEEDED = f"{Path(__file__).parents[1] / 'toy_episodes.py'}:Unseeded"


def test_an_audit_does_not_replay_what_cannot_be_replayed(tmp_path: Path, toy_settings: Settings) -> None:
    suite = Suite("unseeded", "unseeded", UNSEEDED, "none", {"all": ("near",)}, {"cameras": ["front"]})
    (cell,) = make_cells(dataclasses.replace(toy_settings, suite=suite), ["near"], ["state"], [0])
    paths = Paths(tmp_path / "runs", tmp_path / "data")
    record, _ = run_cell(cell, paths, "x")
    path = cell.record(paths)
    assert read(path).provenance["replay"]["why"] == "its wind is not seeded"
    assert record.provenance["replay"]["replayable"] is False
    with np.load(beginnings_file(path)) as kept:
        began = {name: kept[name] for name in kept.files}
    assert sorted(began) == sorted(str(row[0]) for row in record.retest.episodes)
    assert all(state.shape == (2,) and state.dtype == np.float64 for state in began.values())
    assert len({state.tobytes() for state in began.values()}) == len(began)
    assert not_replayable_facts("why", began)["replay"]["beginnings"] == record.provenance["replay"]["beginnings"]
    verdict = audit(record, path, Simulator(1, files=(UNSEEDED,)))
    assert verdict.word == "not checked" and not any(part.replayed for part in verdict.parts)
    assert "can be played again: its wind is not seeded" in str(verdict.not_checked)


def test_a_simulator_that_is_seeded_says_nothing_of_it(tmp_path: Path, toy_settings: Settings) -> None:
    (cell,) = make_cells(toy_settings, ["near"], ["state"], [0])
    paths = Paths(tmp_path / "runs", tmp_path / "data")
    record, _ = run_cell(cell, paths, "x")
    assert "replay" not in record.provenance and not beginnings_file(cell.record(paths)).exists()


@pytest.mark.gl
def test_the_whole_way_of_rlbench_in_front_of_the_stand_in(tmp_path: Path) -> None:
    """Live demonstrations, training, rollouts with failed actions, a record, its audit."""
    small = ["train_demos=3", "valid_demos=1", "epochs=1", "evaluate_every=1", "rollouts=1", "retest_rollouts=2"]
    overrides = [f"protocol.{one}" for one in small] + ["suite.observation.height=48", "suite.observation.width=48"]
    python = stand_in(tmp_path)
    told = [*overrides, "runtime.workers=1", f"env.rlbench.python={python}"]
    settings = load_settings("rlbench-4", "clar-rlbench", None, told)
    (cell,) = make_cells(settings, ["close-box"], ["dp3"], [0])
    paths = Paths(tmp_path / "runs", tmp_path / "data")
    record, _ = run_cell(cell, paths, "x")
    assert record.env == "rlbench" and record.errors == 0
    assert record.identity["env"]["packages"] == {"rlbench": "1.2.0", "pyrep": "4.1.0.3", "fpsample": "0.3.3"}
    assert "CoppeliaSim 4.1.0, opengl3, Xvfb" in record.fingerprint
    path = cell.record(paths)
    assert beginnings_file(path).exists() and "drawn_by" not in record.demos
    verdict = audit(record, path, Simulator(1, python))
    assert verdict.word == "not checked" and "CoppeliaSim's own" in str(verdict.not_checked)
    work = work_of(path)
    assert work is not None and list(work.glob("epoch-*.pt"))
    again = play_checkpoints(record, path, work, Where(paths.data, python))
    assert not again.parts and "CoppeliaSim's own" in again.notes[0]
    made.write_data_set(tmp_path / "stored", 4, cameras=("front",))
    import_tasks(tmp_path / "stored", paths.data, settings, ["close-box"])
    demos = load_demos(cell, paths, 1)
    assert demos[0].content_hash != record.demo_hash, "what was imported takes the place of what was collected"
    with open_without_rollouts(cell, demos, 1) as found:
        played_in = [dataclasses.replace(found[0], fingerprint=record.fingerprint)]
    assert drawn_elsewhere(found) == {}
    (said,) = drawn_elsewhere(played_in)["drawn_by"]
    assert said.startswith("stored demonstrations of RLBench")
