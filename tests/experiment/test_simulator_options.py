"""Options of a simulator's own in a record: set again when it is audited, and those of another record forgotten."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from benchmark.cli.main import app
from benchmark.experiment.cell_of_record import Where, cell_of
from benchmark.records.read import read
from benchmark.records.replay_actions import Simulator, without_simulator
from benchmark.records.simulator_options import KEPT, options_in, options_now, use_options
from envs.options import options_of, set_options
from tests.aloha_here import needs_aloha
from tests.records.forging import forge

REFERENCE = Path(__file__).parents[2] / "results/measured/clar/metaworld-15/reach/state/mlp-s0.json"
DELAYED = ["env.aloha.stand_ins=true", "env.aloha.joint_delay=0.1"]
TINY = ["train_demos=1", "valid_demos=1", "steps=2", "evaluate_every=2", "rollouts=1", "retest_rollouts=2"]


@pytest.fixture(autouse=True)
def said() -> Iterator[None]:
    set_options("aloha", {})
    yield
    set_options("aloha", {})


def of_aloha(**options: Any) -> Any:
    record = read(REFERENCE)
    return dataclasses.replace(record, env="aloha", provenance={**record.provenance, KEPT: options})


def test_what_a_number_may_depend_on_is_kept() -> None:
    assert options_now("aloha") == {}
    set_options("aloha", {"root": "/somewhere", "stand_ins": True, "joint_delay": 0.1})
    assert options_now("aloha") == {KEPT: {"stand_ins": True, "joint_delay": 0.1}}
    assert options_now("/a/file.py:Simulator") == {}


def test_each_record_has_its_own() -> None:
    use_options(of_aloha(joint_delay=0.1, root="/elsewhere"))
    assert options_of("aloha") == {"joint_delay": 0.1}
    use_options(of_aloha(variety=False))
    assert options_of("aloha") == {"variety": False}
    use_options(read(REFERENCE))  # another simulator's: nothing is said of aloha
    use_options(of_aloha())
    assert options_of("aloha") == {}


@pytest.mark.parametrize("odd", [[], "root=/", {"a.b": 1, "A": 2, "stand_ins": {"x": 1}}, {"root": "/"}])
def test_what_is_no_option_is_not_set(odd: Any) -> None:
    record = of_aloha()
    assert options_in(dataclasses.replace(record, provenance={**record.provenance, KEPT: odd})) == {}
    file = dataclasses.replace(of_aloha(stand_ins=True), env="/a/file.py:Simulator")
    assert options_in(file) == {}


def test_an_option_that_the_simulator_has_not_is_said() -> None:
    why = without_simulator(of_aloha(colour=1), Simulator(1))
    assert "colour is no option" in why


@pytest.mark.sim
@pytest.mark.slow
@needs_aloha
def test_a_record_made_with_options_is_audited_without_saying_them(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    bench = CliRunner()
    words = ["run", "--suite", "aloha-6", "--protocol", "clamp-small", "--policy", "chunk-mlp", "--method", "state"]
    tiny = [f"protocol.{setting}" for setting in TINY]
    rest = ["--tasks", "drawer-open", "suite.rules.horizon=300", "suite.shift=[]", *DELAYED, *tiny]
    done = bench.invoke(app, [*words, *rest])
    assert done.exit_code == 0, done.output
    (path,) = tmp_path.glob("runs/records/**/*.json")
    assert read(path).provenance[KEPT] == {"stand_ins": True, "joint_delay": 0.1}
    set_options("aloha", {})
    said = json.loads(bench.invoke(app, ["audit", "--json"]).stdout)["records"][0]
    assert said["verdict"] == "holds", said
    assert said["settings"].startswith("replayed"), said["notes"]
    assert cell_of(read(path), Where()).identity() == read(path).identity
    forge(path, lambda data: data["provenance"][KEPT].update(joint_delay=0.2))
    set_options("aloha", {})
    said = json.loads(bench.invoke(app, ["audit", "--json", "--no-checkpoints"]).stdout)["records"][0]
    assert said["verdict"] == "not checked" and "recorded with the simulator" in said["not_checked"][0]
    assert "REPBENCH_ALOHA_OPTIONS" in os.environ
