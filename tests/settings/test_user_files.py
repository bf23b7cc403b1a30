"""Suites, protocols and heads from files outside the package."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from benchmark.cli.main import app
from benchmark.experiment.cell import Cell
from benchmark.experiment.make_cells import make_cells
from benchmark.experiment.run_cell import run_cell
from benchmark.launch.cell_spec import CellSpec, specs_of
from benchmark.policy.build import DIRECT
from benchmark.records.paths import Paths
from benchmark.settings.catalog import listing
from benchmark.settings.head import DIRECT_KINDS
from benchmark.settings.load import load_settings
from benchmark.system.errors import ConfigError, OtherSettings
from envs.registry import UnknownName
from tests.conftest import TOY
from tests.test_cli import here

PROTOCOL = """
defaults: [quick]
name: short
epochs: 2
evaluate_every: 1
rollouts: 2
retest_rollouts: 2
horizon: 60
train_demos: 2
valid_demos: 1
"""
SUITE = f"""
name: mine
title: mine
source: me
env: "{TOY}"
tasks:
  all: [near]
observation:
  cameras: []
"""
HEAD = "defaults: [mlp]\nname: wide\nkind: mlp\nwidth: 8\nhidden: [8]\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BENCH_CONFIG", str(tmp_path / "config"))
    for name, text in (("short", PROTOCOL), ("mine", SUITE), ("wide", HEAD)):
        (tmp_path / f"{name}.yaml").write_text(text)
    return tmp_path


def only(suite: str, protocol: str, head: str) -> Cell:
    (cell,) = make_cells(load_settings(suite, protocol, head), None, ["state"], [0])
    return cell


@pytest.mark.slow
def test_from_files_to_a_record_and_from_the_own_folder_the_same(folder: Path) -> None:
    cell, paths = only("./mine.yaml", "short.yaml", "./wide.yaml"), Paths(folder / "runs", folder / "data")
    record, new = run_cell(cell, paths, "x")
    assert new and cell.record(paths).relative_to(paths.records) == Path("short/mine/near/state/wide-s0.json")
    assert (record.horizon, record.training["epochs"], record.retest.tally.n) == (60, 2, 2)
    for group, name in (("protocol", "short"), ("suite", "mine"), ("head", "wide")):
        (folder / "config" / group).mkdir(parents=True)
        (folder / f"{name}.yaml").rename(folder / "config" / group / f"{name}.yaml")
    assert run_cell(only("mine", "short", "wide"), paths, "x") == (record, False)
    code, out, err = here("table", "1", "--suite", "mine", "--protocol", "short", "--cells", "--format", "csv")
    assert code == 0 and "near,state,wide s0" in out, (out, err)


@pytest.mark.slow
def test_an_edited_protocol_is_another_experiment(folder: Path) -> None:
    paths = Paths(folder / "runs", folder / "data")
    run_cell(only("./mine.yaml", "./short.yaml", "mlp"), paths, "x")
    (folder / "short.yaml").write_text(PROTOCOL.replace("epochs: 2", "epochs: 3"))
    with pytest.raises(OtherSettings, match="protocol.epochs: 2 there, 3 here"):
        run_cell(only("./mine.yaml", "./short.yaml", "mlp"), paths, "x")


def test_overrides_apply_to_them_and_stand_in_their_names(folder: Path) -> None:
    settings = load_settings("./mine.yaml", "./short.yaml", "./wide.yaml", ["protocol.rollouts=5", "head.width=4"])
    assert settings.protocol.name == "short+rollouts=5" and settings.protocol.rollouts == 5
    assert settings.head.name == "wide+width=4"


def test_a_sweep_names_them_by_their_absolute_path(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ((spec, cell),) = specs_of("./mine.yaml", "short.yaml", "wide.yaml", [], None, ["state"], [0], None)
    monkeypatch.chdir("/")
    assert CellSpec.from_dict(json.loads(json.dumps(spec.as_dict()))).cell().identity() == cell.identity()


def test_tasks_of_a_suite_that_builds_on_another_are_its_own(folder: Path) -> None:
    (folder / "one.yaml").write_text("defaults: [metaworld-15]\nname: one\ntasks: {few: [hammer]}\n")
    assert load_settings("./one.yaml", "clar", None).suite.task_names == ["hammer"]


@pytest.mark.parametrize(
    ("group", "text"),
    [
        ("suite", "defaults: [metaworld-15]\nname: mine\ntasks: {few: [hammer]}\n"),
        ("protocol", "defaults: [clar]\nname: mine\nepochs: 3\n"),
    ],
)
def test_what_builds_on_a_papers_file_is_not_the_papers(tmp_path: Path, group: str, text: str) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    shown = CliRunner().invoke(app, ["show", str(file)]).output
    assert "mine: mine" in shown and "source" in shown and "yours, built on" in shown
    file.write_text(text + "title: Ours\nsource: our paper\n")
    assert "our paper" in CliRunner().invoke(app, ["show", str(file)]).output


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name: clar\n", "name: bad"),
        ("epochs: 2\n", "name: bad"),
        ("- 1\n", "name: bad"),
        ("name: [bad\n", "is no YAML"),
        ("name: bad\n", "protocol.title is missing"),
        ("defaults: [quick]\nname: bad\nepochs: -1\n", "protocol.epochs=-1"),
        ("defaults: [quick]\nname: bad\nepoch: 1\n", "protocol.epoch is no setting"),
        ("defaults: [nowhere]\nname: bad\n", "'nowhere' is none of them"),
        ("name: bad\nx: ${oc.env:HOME}\ndefaults: [quick]\n", "protocol.x"),
        ("defaults: {}\nname: bad\n", "none of them"),
    ],
)
def test_a_file_that_cannot_be_taken_is_one_line(folder: Path, text: str, said: str) -> None:
    (folder / "bad.yaml").write_text(text)
    code, _, err = here("run", "--protocol", "./bad.yaml", "--method", "state", "--dry-run")
    assert code == 2 and said in err and len(err.strip().splitlines()) == 1, err


def test_a_file_never_takes_the_name_of_ours(folder: Path) -> None:
    (folder / "clar.yaml").write_text(PROTOCOL.replace("name: short", "name: clar"))
    with pytest.raises(ConfigError, match=r"clar\.yaml: clar is a protocol of this project; give yours another name"):
        load_settings("metaworld-15", "./clar.yaml", None)
    own = folder / "config" / "protocol"
    own.mkdir(parents=True)
    (folder / "clar.yaml").rename(own / "clar.yaml")
    with pytest.raises(ConfigError, match=r"protocol/clar\.yaml: clar is a protocol of this project"):
        load_settings("metaworld-15", "clar", None)
    listed = listing("protocols")["protocols"]["clar"]
    assert "another name" in listed and str(own / "clar.yaml") in listed


def test_what_there_is_not(folder: Path) -> None:
    with pytest.raises(ConfigError, match="there is no such file"):
        load_settings("./nowhere.yaml", "clar", None)
    with pytest.raises(UnknownName, match="Did you mean 'quick'"):
        load_settings("metaworld-15", "qick", None)
    (folder / "nokind.yaml").write_text(HEAD.replace("kind: mlp\n", "").replace("name: wide", "name: nokind"))
    with pytest.raises(ConfigError, match=r"head\.kind is missing: nokind must say which it is, mlp or bnmlp"):
        load_settings("metaworld-15", "clar", "./nokind.yaml")


def test_a_direct_head_says_which_it_is() -> None:
    assert set(DIRECT_KINDS) == set(DIRECT)


@pytest.mark.slow
def test_show_and_list_know_them_and_the_kinds_of_a_name(folder: Path) -> None:
    (folder / "config" / "suite").mkdir(parents=True)
    (folder / "mine.yaml").rename(folder / "config" / "suite" / "mine.yaml")
    assert "yours:" in here("list", "suites")[1]
    assert "near" in here("list", "tasks", "--suite", "mine")[1]
    assert "near" in here("show", "mine")[1] and here("show", "suite/mine")[0] == 0
    for name, what in (
        ("clar", "method"),
        ("protocol/clar", "protocol"),
        ("pretrain/clar", "pretrain"),
        ("dp3", "method"),
        ("head/dp3", "head"),
        ("metaworld/reach", "task"),
        ("task/reach", "task"),
        ("simulator/metaworld", "simulator"),
        ("./short.yaml", "protocol"),
        ("./wide.yaml", "head"),
        ("data/rlbench-9", "data"),
    ):
        code, out, err = here("show", name, "--json")
        assert code == 0 and json.loads(out)["what"] == what, (name, out, err)
    assert "also: bench show protocol/clar, pretrain/clar" in here("show", "clar")[1]
    assert "Did you mean 'dp3'" in here("show", "head/dp4")[2]


@pytest.mark.slow
def test_show_takes_whatever_list_prints(folder: Path) -> None:
    lines = here("list", "all")[1].splitlines()
    names = [line.split()[0] for line in lines if line.startswith("  ") and line[2] != " "]
    assert len(names) > 80 and set(names) == {
        name for kind in json.loads(here("list", "--json")[1]).values() for name in kind
    }
    for name in names:
        assert here("show", name, "--json")[0] == 0, name
