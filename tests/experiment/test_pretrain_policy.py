"""A policy trained on one suite is where another training begins: killed and resumed, refused where it would cheat."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmark.experiment import work_folder
from benchmark.experiment.cell import Cell
from benchmark.experiment.make_cells import _of_another_simulator, make_cells
from benchmark.experiment.pretrain_policy import PolicyPretraining, plan_policy_pretraining, pretrain_policy
from benchmark.experiment.run_cell import run_cell
from benchmark.pretrain.loading import load_pretraining
from benchmark.records.consistency import contradictions
from benchmark.records.paths import Paths
from benchmark.records.pretraining_card import card_inside, facts_for_record, seen_tasks
from benchmark.records.read import read
from benchmark.settings.settings import Settings
from benchmark.system.errors import ConfigError, OtherSettings
from benchmark.system.files import Busy, exclusive
from benchmark.training.trainer import Trainer
from methods.errors import BadWeights
from methods.weights import read_tensors
from tests.experiment.test_camera_sizes import TESTS, settings_of
from tests.policy.test_own_policy import PLANNER
from tests.test_cli import here

pytestmark = pytest.mark.slow

NAME = "aloha-unleashed"
CAMERAS = TESTS / "toy_cameras.py"
OPTIONS = {"size": "small", "sampler": "ddim-10", "chunk": 8, "execute": 8}
FEW = {"steps": 4, "evaluate_every": 2, "rollouts": 1, "retest_rollouts": 1, "train_demos": 2, "horizon": 60}


def of_suite(settings: Settings, name: str, *tasks: str, **changes: Any) -> Settings:
    """Few steps on some tasks of the toy simulator with cameras."""
    found = settings_of(settings, f"{CAMERAS}:ThreeTasks")
    batches = {"2d": 4, "3d": 4}
    protocol = dataclasses.replace(found.protocol, name="tiny", batch_size=batches, **{**FEW, **changes})
    suite = dataclasses.replace(found.suite, name=name, tasks={"all": tasks})
    return dataclasses.replace(found, suite=suite, protocol=protocol, policy_options=dict(OPTIONS), head_asked=False)


def job(settings: Settings, **changes: Any) -> PolicyPretraining:
    return plan_policy_pretraining(of_suite(settings, "before", "near", "far", **changes), None, NAME, 0)


@pytest.fixture(scope="module")
def made(toy_settings_once: Settings, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Paths, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("before")
    paths = Paths(folder / "runs", folder / "data")
    card, computed = pretrain_policy(job(toy_settings_once), paths, "test")
    assert computed
    return job(toy_settings_once).weights(paths.out), paths, card


def after(settings: Settings, weights: Path, task: str = "other", suite: str = "later") -> Cell:
    (cell,) = make_cells(of_suite(settings, suite, task), None, [NAME], [0], str(weights))
    return cell


def test_its_card_says_what_it_was(toy_settings: Settings, made: tuple[Path, Paths, dict[str, Any]]) -> None:
    weights, paths, card = made
    assert sorted(file.name for file in weights.parent.iterdir() if not file.name.startswith("lock")) == [
        "before.pt",
        "card.json",
        "curves.png",
    ], "checkpoints of the way are gone"
    assert weights == paths.out / "pretrain" / NAME / "before" / "before.pt"
    assert json.loads((weights.parent / "card.json").read_text()) == card
    inside = card_inside(weights)
    assert inside is not None and inside["identity_hash"] == card["identity_hash"]
    own = card["data"]["before"]
    assert own["tasks"] == ["near", "far"] and own["demonstrations"] == 4 and own["env"].endswith(":ThreeTasks")
    assert card["steps"] == 4 and [one["step"] for one in card["history"]] == [2, 4]
    assert card["options"] == {"size": "small", "sampler": "ddim-10"} and card["window"] == {"chunk": 8, "execute": 8}
    assert card["parameters"]["policy"] > 2e6 and len(card["attempts"]) == 1
    assert pretrain_policy(job(toy_settings), paths, "test") == (card, False), "it is there"
    facts = facts_for_record(weights)
    assert facts is not None and facts["variant"] == "policy" and facts["data"] == {"before": own["frames"]}
    with pytest.raises(BadWeights, match="is a policy that was pre-trained, and this takes an encoder"):
        load_pretraining(weights)


def test_it_is_where_training_on_another_task_begins(
    toy_settings: Settings, made: tuple[Path, Paths, dict[str, Any]], tmp_path: Path
) -> None:
    weights, paths, card = made
    cell = after(toy_settings, weights)
    assert cell.method_name == "aloha-unleashed+sampler=ddim-10+size=small+weights=before"
    policy, stored = cell.build_policy(None), read_tensors(weights)
    assert set(stored) == {f"policy.{name}" for name in policy.state_dict()}
    assert all(torch.equal(value, stored[f"policy.{name}"]) for name, value in policy.state_dict().items())
    record, _ = run_cell(cell, Paths(tmp_path / "runs", paths.data), "test")
    assert record.weights["files"] == {"before.pt": card["sha256"]} and not list(contradictions(record))
    assert record.identity["method"]["weights"] == [card["sha256"]]
    assert record.weights["pretraining"]["variant"] == "policy" and record.weights["pretraining"]["steps"] == 4
    assert read(cell.record(Paths(tmp_path / "runs", paths.data))) == record
    state = torch.load(next(cell.work(Paths(tmp_path / "runs", paths.data)).glob("epoch-0002.pt")))["policy"]
    for name in ("actions.low", "actions.high", "state.mean", "state.deviation"):
        assert torch.equal(state[name], stored[f"policy.{name}"]), "normalisers are the pre-training's"
    assert not torch.equal(state["predictor.out.weight"], stored["policy.predictor.out.weight"])


def test_a_task_of_the_pretraining_is_refused(toy_settings: Settings, made: tuple[Path, Paths, dict[str, Any]]) -> None:
    with pytest.raises(ConfigError, match=r"before.pt was pre-trained on demonstrations of far \(before\)"):
        after(toy_settings, made[0], "far")
    (source,) = seen_tasks(made[0])["far"]
    assert source.name == "before" and source.env is not None
    assert not _of_another_simulator("aloha-6", "aloha", "aloha")
    assert _of_another_simulator("metaworld-15", "aloha", "metaworld")
    assert not _of_another_simulator("rlbench-4", "rlbench4-port", "rlbench")
    assert not _of_another_simulator("rlbench4-port", "rlbench", "rlbench4-port")
    assert not _of_another_simulator("theirs", "mine.py:Sim", "metaworld")


def test_what_it_began_with_stays_seen(
    toy_settings: Settings, made: tuple[Path, Paths, dict[str, Any]], tmp_path: Path
) -> None:
    second = plan_policy_pretraining(of_suite(toy_settings, "second", "other"), None, NAME, 0, str(made[0]))
    paths = Paths(tmp_path / "runs", made[1].data)
    card, _ = pretrain_policy(second, paths, "test")
    assert card["began_with"] == {"before.pt": made[2]["sha256"]}
    assert set(seen_tasks(second.weights(paths.out))) == {"near", "far", "other"}
    with pytest.raises(ConfigError, match=r"demonstrations of far \(before\)"):
        after(toy_settings, second.weights(paths.out), "far")


class Killed(BaseException):
    pass


def test_killed_it_ends_with_the_same_weights(
    toy_settings: Settings, made: tuple[Path, Paths, dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work_folder, "SAVE_EVERY", 0.0)
    monkeypatch.setattr("benchmark.training.trainer.PART", 1)
    real: Callable[..., int] = Trainer.advance

    def dying(trainer: Trainer, samples: Any) -> int:
        if trainer.steps == 3:
            raise Killed
        return real(trainer, samples)

    paths, wanted = Paths(tmp_path / "runs", made[1].data), job(toy_settings)
    monkeypatch.setattr(Trainer, "advance", dying)
    with pytest.raises(Killed):
        pretrain_policy(wanted, paths, "test")
    work = wanted.folder(paths.out) / "work"
    assert sorted(file.name for file in work.glob("*.pt")) == ["epoch-0001.pt", "resume-0001-000000003.pt"]
    monkeypatch.setattr(Trainer, "advance", real)
    with pytest.raises(OtherSettings, match="half-finished work of other settings"):
        pretrain_policy(job(toy_settings, steps=6), paths, "test")
    started: list[int] = []
    monkeypatch.setattr(Trainer, "advance", lambda self, s: started.append(self.steps) or real(self, s))
    card, computed = pretrain_policy(wanted, paths, "test")
    assert computed and started == [3] and len(card["attempts"]) == 2 and card["history"] == made[2]["history"]
    ours, theirs = read_tensors(wanted.weights(paths.out)), read_tensors(made[0])
    assert ours.keys() == theirs.keys() and all(torch.equal(value, theirs[name]) for name, value in ours.items())


def test_damaged_weights_are_trained_again_and_others_settings_kept(
    toy_settings: Settings, made: tuple[Path, Paths, dict[str, Any]], tmp_path: Path
) -> None:
    paths, wanted = Paths(tmp_path / "runs", made[1].data), job(toy_settings, steps=2)
    first, _ = pretrain_policy(wanted, paths, "test")
    with pytest.raises(OtherSettings, match=r"of other settings \(.*steps: 2 there, 4 here.*another --name"):
        pretrain_policy(job(toy_settings), paths, "test")
    file = wanted.weights(paths.out)
    whole = file.read_bytes()
    file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    again, computed = pretrain_policy(wanted, paths, "test")
    assert computed and again["history"] == first["history"]
    assert file.with_name("before.pt.damaged").exists()
    with exclusive(wanted.folder(paths.out) / "lock", "x", wait=False), pytest.raises(Busy):
        pretrain_policy(wanted, paths, "test")


BAD_ENV = {"data": {"before": {"frames": 1, "tasks": ["near"], "env": ["aloha"]}}}


def test_a_card_that_was_edited_is_named(made: tuple[Path, Paths, dict[str, Any]], tmp_path: Path) -> None:
    content = torch.load(made[0])
    for change in ({"data": 3}, {"data": {"before": {"frames": 1}}}, BAD_ENV, {"provenance": {}}, {"kind": "other"}):
        text = json.dumps({**json.loads(content["card"]), **change})
        torch.save({**content, "card": text}, tmp_path / "edited.pt")
        with pytest.raises(BadWeights, match="damaged card|has no pre-training here"):
            card_inside(tmp_path / "edited.pt")


def test_a_policy_of_ones_own_is_pretrained_too(
    toy_settings: Settings, made: tuple[Path, Paths, dict[str, Any]], tmp_path: Path
) -> None:
    """Its card names no weights; a policy that is whole takes one that was trained elsewhere all the same."""
    settings = dataclasses.replace(of_suite(toy_settings, "own", "far"), policy_options={})
    paths = Paths(tmp_path / "runs", made[1].data)
    wanted = plan_policy_pretraining(settings, None, PLANNER, 0, name="mine")
    card, _ = pretrain_policy(wanted, paths, "test")
    assert card["method"] == "toy-planner" and wanted.weights(paths.out).name == "mine.pt"
    later = dataclasses.replace(of_suite(toy_settings, "later", "other"), policy_options={})
    (cell,) = make_cells(later, None, [PLANNER], [0], str(wanted.weights(paths.out)))
    stored = read_tensors(wanted.weights(paths.out))
    assert all(torch.equal(v, stored[f"policy.{n}"]) for n, v in cell.build_policy(None).state_dict().items())
    (other,) = make_cells(later, None, [PLANNER], [0], str(made[0]))
    with pytest.raises(BadWeights, match="does not fit"):
        other.build_policy(None)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--policy", NAME], "--suite is missing"),
        (["--suite", "metaworld-15"], "--suite is of a policy's pre-training: name it with --policy"),
        (["--policy", NAME, "--suite", "metaworld-15", "--data", "metaworld-35"], "--data is of an encoder's"),
        (["--policy", NAME, "--suite", "metaworld-15", "--launcher", "slurm"], "--launcher is of an encoder's"),
        (["--policy", "dp3", "--suite", "metaworld-15"], "is a representation, not a policy"),
        (["--policy", NAME, "--suite", "metaworld-15", "policy.size=tiny"], "none of paper, small"),
        (["--policy", NAME, "--suite", "metaworld-15", "--weights", "absent.pt"], "no such file"),
    ],
)
def test_what_does_not_go_together_is_one_line(words: list[str], said: str, tmp_path: Path) -> None:
    code, _, err = here("pretrain", *words, "--dry-run", "--out", str(tmp_path / "runs"))
    assert code == 2 and said in err and err.count("\n") == 1, err


def test_from_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    suite = """\
name: seen
title: seen
env: {env}
source: none
tasks: {{all: [{task}]}}
observation: {{cameras: [front, hand], height: 32, width: 24}}
"""
    for name, task in (("seen", "far"), ("other", "near")):
        text = suite.format(env=f"{CAMERAS}:ThreeTasks", task=task).replace("name: seen", f"name: {name}")
        (tmp_path / f"{name}.yaml").write_text(text)
    numbers = [f"protocol.{key}={value}" for key, value in FEW.items()]
    shared = [*numbers, "policy.size=small", "policy.chunk=8", "policy.execute=8", "policy.sampler=ddim-10"]
    words = ["pretrain", "--policy", NAME, "--suite", "./seen.yaml", "--protocol", "quick", "--name", "first"]
    code, out, err = here(*words, *shared, "--dry-run")
    assert code == 0 and json.loads(out)["weights"].endswith("pretrain/aloha-unleashed/first/first.pt"), err
    code, out, err = here(*words, *shared)
    assert code == 0 and "4 steps on 1 tasks" in out, err
    assert "bench run --suite SUITE --policy aloha-unleashed --weights runs/pretrain/aloha-unleashed/first" in out
    assert out.rstrip().endswith("policy.size=small policy.sampler=ddim-10 policy.chunk=8 policy.execute=8"), out
    assert "up to date, not re-run" in here(*words, *shared)[1]
    weights = "runs/pretrain/aloha-unleashed/first/first.pt"
    run = ["run", "--policy", NAME, "--weights", weights, "--protocol", "quick", *shared]
    code, _, err = here(*run, "--suite", "./seen.yaml")
    assert code == 2 and "was pre-trained on demonstrations of far (seen)" in err
    code, _, err = here(*run, "--suite", "./other.yaml", "--dry-run")
    assert code == 0, err
    code, _, err = here(*run[:-4], "--suite", "./other.yaml", "policy.size=paper")
    assert code and "is a policy of size=small, and this one has size=paper" in err, err
