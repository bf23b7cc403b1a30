"""bench audit with a cell's checkpoints: whose weights these are, by what they do."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from benchmark.cli.main import app
from benchmark.records.actions import retest_actions
from benchmark.records.paths import work_of
from benchmark.records.read import read, read_all
from benchmark.records.record import Record
from benchmark.training.checkpoint import load_checkpoint, played_digest
from benchmark.training.state_digest import state_digest
from tests.records.forging import forge, make_success, without_hashes

pytestmark = [pytest.mark.sim, pytest.mark.slow]
SMALL = [
    "protocol.train_demos=3",
    "protocol.valid_demos=1",
    "protocol.epochs=4",
    "protocol.evaluate_every=2",
    "protocol.rollouts=3",
    "protocol.retest_rollouts=3",
    "protocol.horizon=100",
    "runtime.workers=1",
]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("made") / "runs"
    words = ["run", "--tasks", "reach", "--method", "state", "--protocol", "quick", "--out", str(out), *SMALL]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    return out


@pytest.fixture
def out(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made, tmp_path / "runs")
    return tmp_path / "runs"


def record_of(out: Path) -> tuple[Path, Record]:
    ((path, record),) = read_all([out / "records"])
    assert isinstance(record, Record)
    return path, record


def audit(out: Path, *words: str) -> tuple[int, dict[str, Any]]:
    done = CliRunner().invoke(app, ["audit", "--out", str(out), "--json", "--workers", "1", *words])
    assert done.exit_code in (0, 1, 4), (done.output, done.exception)
    return done.exit_code, json.loads(done.stdout)["records"][0]


def test_everything_is_replayed_where_the_work_folder_is_there(out: Path) -> None:
    code, row = audit(out)
    assert code == 0 and row["verdict"] == "holds", row
    assert row["settings"] == "replayed from its training's first epoch and checkpoint"
    assert {part["name"]: part["rests_on"] for part in row["parts"]} == {
        "retest": "replayed 3/3",
        "best*": "replayed 3/3",
        "last": "replayed 3/3",
    }
    _, row = audit(out, "--no-checkpoints")
    assert {part["name"]: part["rests_on"] for part in row["parts"]}["best*"] == "chained"
    assert row["settings"] == "declared"


@pytest.mark.parametrize("name", ["best*", "last"])
def test_a_forged_evaluation_is_found(out: Path, name: str) -> None:
    path, record = record_of(out)
    number = next(i for i, e in enumerate(record.evaluations) if e.epoch == record.selected_epoch)
    number = number if name == "best*" else -1
    if record.evaluations[number].tally.k == record.evaluations[number].tally.n:
        pytest.skip("no failure to forge")

    def better(data: dict[str, Any]) -> None:
        make_success(data["evaluations"][number])
        data["selected_epoch"] = data["retest"]["epoch"] = max(
            data["evaluations"], key=lambda e: sum(row[1] for row in e["episodes"])
        )["epoch"]

    forge(path, better)
    code, row = audit(out)
    assert code == 1 and "episodes of the checkpoint are not as recorded" in " ".join(row["contradictions"]), row
    forge(path, without_hashes)
    assert audit(out)[0] == 1


def test_another_seed_is_found_by_its_training(out: Path) -> None:
    """Record, actions and checkpoints copied under another seed, every hash anew: its training begins otherwise."""
    path, _ = record_of(out)
    moved = path.with_name("mlp-s1.json")

    def second(data: dict[str, Any]) -> None:
        data["seed"] = data["identity"]["seed"] = 1

    forge(path, second, moved)
    shutil.move(retest_actions(path), retest_actions(moved))
    work, target = work_of(path), work_of(moved)
    assert work is not None and target is not None
    shutil.move(work, target)
    path.unlink()
    identity = read(moved).identity_hash
    for file in target.glob("epoch-*.pt"):
        state = load_checkpoint(file)
        state["identity"] = identity
        torch.save({**state, "digest": state_digest(state)}, file)
    progress = json.loads((target / "progress.json").read_text())
    (target / "progress.json").write_text(json.dumps({**progress, "identity": identity}))
    code, row = audit(out)
    assert code == 1 and "its training begins with a loss of" in row["contradictions"][0], row


def test_weights_of_somebody_elses_are_found(out: Path) -> None:
    """The checkpoint of another policy beside a record whose actions it did not send."""
    path, record = record_of(out)
    work = work_of(path)
    assert work is not None
    file = work / f"epoch-{record.selected_epoch:04d}.pt"
    state = load_checkpoint(file)
    for tensor in state["policy"].values():
        if tensor.is_floating_point():
            tensor.mul_(0.5)
    torch.save({**state, "digest": state_digest(state)}, file)
    assert "is not the checkpoint that was evaluated" in " ".join(audit(out)[1]["contradictions"])
    weights = played_digest(state)

    def its(data: dict[str, Any]) -> None:
        for part in (*data["evaluations"], data["retest"]):
            part["checkpoint"] = weights if part["epoch"] == record.selected_epoch else part["checkpoint"]

    forge(path, its)
    code, row = audit(out)
    assert code == 1 and "are not those that its checkpoint sends" in " ".join(row["contradictions"]), row


def test_what_cannot_be_played_is_a_note(out: Path) -> None:
    path, _ = record_of(out)
    shutil.move(out / "data", out / "moved")
    code, row = audit(out)
    assert code == 0 and "the demonstrations of reach are not under" in row["notes"][0]
    assert audit(out, "--data", str(out / "moved"))[1]["settings"].startswith("replayed")
    forge(path, lambda d: d["identity"]["protocol"].update(learning_rate=1.0))
    code, row = audit(out, "--data", str(out / "moved"))
    assert code == 1 and "learning_rate=1" in row["contradictions"][0], "and of no other settings than its name says"
