"""`--log`: curves beside the record, which never depends on them."""

from __future__ import annotations

import dataclasses
import json
import sys
import types
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from benchmark.experiment.make_cells import make_cells, preflight
from benchmark.experiment.run_cell import run_cell
from benchmark.records.paths import Paths
from benchmark.records.record import Record
from benchmark.settings.settings import Settings
from benchmark.system.errors import ConfigError
from tests.training.test_training import facts

pytestmark = pytest.mark.slow


def under(settings: Settings, log: str) -> Settings:
    return dataclasses.replace(settings, runtime=dataclasses.replace(settings.runtime, log=log))


def run(settings: Settings, log: str, folder: Path, data: Path) -> Record:
    (cell,) = make_cells(under(settings, log), ["near"], ["state"], [0])
    return run_cell(cell, Paths(folder, data), "bench run")[0]


def curves(folder: Path) -> dict[str, list[tuple[int, float]]]:
    (events,) = folder.rglob("tensorboard")
    read = EventAccumulator(str(events))
    read.Reload()
    return {tag: [(e.step, e.value) for e in read.Scalars(tag)] for tag in read.Tags()["scalars"]}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def without(toy_settings_once: Settings, tmp_path_factory: pytest.TempPathFactory, data: Path) -> Record:
    return run(toy_settings_once, "none", tmp_path_factory.mktemp("without"), data)


def test_tensorboard_has_what_the_record_has(
    toy_settings: Settings, tmp_path: Path, data: Path, without: Record
) -> None:
    record = run(toy_settings, "tensorboard", tmp_path, data)
    assert facts(record) == facts(without)
    found = curves(tmp_path)
    assert [step for step, _ in found["loss/train"]] == [1, 2, 3, 4]
    for tag, values in {
        "evaluation/success": [(e.epoch, e.tally.rate) for e in record.evaluations],
        "loss/validation": [(e.epoch, e.valid_loss) for e in record.evaluations],
        "retest/success": [(4, record.retest.tally.rate)],
    }.items():
        assert found[tag] == [(step, pytest.approx(value, rel=1e-6)) for step, value in values]


def test_it_goes_on_after_a_stop(
    toy_settings: Settings, tmp_path: Path, data: Path, without: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    from benchmark.training.trainer import Trainer

    train = Trainer.train_epoch

    def stops(self: Trainer, samples: Any) -> float:
        if self.epoch == 3:
            raise KeyboardInterrupt
        return train(self, samples)

    monkeypatch.setattr(Trainer, "train_epoch", stops)
    with pytest.raises(KeyboardInterrupt):
        run(toy_settings, "tensorboard", tmp_path, data)
    monkeypatch.setattr(Trainer, "train_epoch", train)
    assert facts(run(toy_settings, "tensorboard", tmp_path, data)) == facts(without)
    assert [step for step, _ in curves(tmp_path)["loss/train"]] == [1, 2, 3, 4], "epoch 3 once, though trained twice"


class Wandb(types.ModuleType):
    """What of wandb is called, by the names and arguments of its documentation."""

    def __init__(self) -> None:
        super().__init__("wandb")
        self.__spec__ = types.SimpleNamespace(name="wandb")  # type: ignore[assignment]
        self.begun: list[dict[str, Any]] = []
        self.logged: list[tuple[int, dict[str, float]]] = []
        self.finished = 0
        self.fails_at: int | None = None

    def init(self, *, project: str, id: str, name: str, config: dict[str, Any], dir: str, resume: str) -> Wandb:
        self.begun.append({"project": project, "id": id, "name": name, "config": config, "resume": resume})
        return self

    def log(self, values: dict[str, float], *, step: int) -> None:
        if step == self.fails_at:
            raise OSError("no space left on device")
        self.logged.append((step, values))

    def finish(self) -> None:
        self.finished += 1


@pytest.fixture
def wandb(monkeypatch: pytest.MonkeyPatch) -> Wandb:
    module = Wandb()
    monkeypatch.setitem(sys.modules, "wandb", module)
    return module


def test_wandb_is_given_a_run_for_the_cell(
    toy_settings: Settings, tmp_path: Path, data: Path, without: Record, wandb: Wandb
) -> None:
    record = run(toy_settings, "wandb", tmp_path, data)
    assert facts(record) == facts(without)
    (begun,) = wandb.begun
    assert begun["project"] == "repbench" and begun["resume"] == "allow" and "near" in begun["name"]
    json.dumps(begun["config"])
    assert begun["config"]["protocol"]["name"] == record.protocol
    assert [step for step, values in wandb.logged if "loss/train" in values] == [1, 2, 3, 4]
    assert wandb.logged[-1] == (4, {"retest/success": record.retest.tally.rate}) and wandb.finished == 1


def test_a_log_that_fails_costs_nothing_but_the_log(
    toy_settings: Settings,
    tmp_path: Path,
    data: Path,
    without: Record,
    wandb: Wandb,
    capsys: pytest.CaptureFixture[str],
) -> None:
    wandb.fails_at = 2
    assert facts(run(toy_settings, "wandb", tmp_path, data)) == facts(without)
    assert [step for step, _ in wandb.logged] == [1]
    assert capsys.readouterr().err.count("--log wandb stopped (OSError: no space left on device)") == 1


def test_what_cannot_begin_is_a_line_before_any_work(
    toy_settings: Settings, tmp_path: Path, data: Path, wandb: Wandb, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(**_: Any) -> Any:
        raise RuntimeError("api_key not configured (no-tty)\nmore")

    monkeypatch.setattr(wandb, "init", refused)
    with pytest.raises(ConfigError, match=r"--log wandb cannot begin .*api_key not configured.*`wandb login`"):
        run(toy_settings, "wandb", tmp_path / "a", data)
    monkeypatch.delitem(sys.modules, "wandb")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"needs the package wandb: pip install"):
        run(toy_settings, "wandb", tmp_path / "b", data)
    assert not list((tmp_path / "b").rglob("newest*"))


def test_a_missing_package_is_said_at_once(toy_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    cells = make_cells(under(toy_settings, "wandb"), ["near"], ["state"], [0])
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"needs the package wandb: pip install"):
        preflight(cells)


def test_an_unknown_log_names_those_there_are(toy_settings: Settings) -> None:
    with pytest.raises(ConfigError, match=r"runtime.log=.paper.*none, tensorboard, wandb"):
        under(toy_settings, "paper")
