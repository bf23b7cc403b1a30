"""A checkpoint whose content is not what was written is never trained on or played: it is dropped and made again."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmark.experiment import cell_run
from benchmark.experiment.cell import Cell
from benchmark.experiment.finished_cell import CheckpointGone, play_further
from benchmark.experiment.make_cells import make_cells
from benchmark.experiment.run_cell import run_cell
from benchmark.experiment.work_folder import WorkFolder
from benchmark.records.paths import Paths
from benchmark.records.read import read
from benchmark.records.record import Record
from benchmark.settings.load import load_settings
from benchmark.settings.settings import Settings
from benchmark.system.errors import OtherSettings
from benchmark.training.checkpoint import DamagedCheckpoint, load_checkpoint

pytestmark = pytest.mark.slow


class Stopped(RuntimeError):
    pass


def flipped(path: Path) -> None:
    """One bit of one weight: torch alone reads it without a word."""
    state = torch.load(path, weights_only=True)
    weights = next(t for t in state["policy"].values() if t.dtype == torch.float32 and t.numel() > 100)
    weights.view(-1)[5] += 1e-3
    torch.save(state, path)


def zeroed(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def gone(path: Path) -> None:
    path.unlink()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, toy_settings_once: Settings) -> tuple[Cell, Path, Record]:
    root = tmp_path_factory.mktemp("undisturbed")
    (cell,) = make_cells(toy_settings_once, ["near"], ["state"], [0])
    record, _ = run_cell(cell, Paths(root / "runs", root / "data"), "x")
    return cell, root / "data", record


def run_until_retest(cell: Cell, paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything but the retest is finished, and the process ends."""

    def stop(*_: Any) -> None:
        raise Stopped

    with monkeypatch.context() as patch:
        patch.setattr(cell_run.CellRun, "_retest", stop)
        with pytest.raises(Stopped):
            run_cell(cell, paths, "x")


def same(one: Record, other: Record) -> bool:
    return (one.evaluations, one.retest, one.training) == (other.evaluations, other.retest, other.training)


@pytest.mark.parametrize("damage", [flipped, zeroed, cut, empty, gone])
@pytest.mark.parametrize("epoch", [2, 4])
def test_it_is_dropped_with_the_epochs_after_it_and_computed_again(
    undisturbed: tuple[Cell, Path, Record],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    damage: Callable[[Path], None],
    epoch: int,
) -> None:
    cell, data, expected = undisturbed
    paths = Paths(tmp_path / "runs", data)
    run_until_retest(cell, paths, monkeypatch)
    file = cell.work(paths) / f"epoch-{epoch:04d}.pt"
    damage(file)
    if damage is not gone:
        with pytest.raises(DamagedCheckpoint, match="is damaged"):
            load_checkpoint(file)
    record, _ = run_cell(cell, paths, "x")
    assert same(record, expected), "to the last bit, hashes of weights and actions too"
    said = capsys.readouterr().err
    assert f"epoch-{epoch:04d}.pt is {'gone' if damage is gone else 'damaged'}" in said
    assert "computed again" in said


def test_one_of_other_weights_is_not_the_one_that_was_evaluated(
    undisturbed: tuple[Cell, Path, Record],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    cell, data, expected = undisturbed
    paths = Paths(tmp_path / "runs", data)
    run_until_retest(cell, paths, monkeypatch)
    work = cell.work(paths)
    (work / "epoch-0002.pt").write_bytes((work / "epoch-0004.pt").read_bytes())
    record, _ = run_cell(cell, paths, "x")
    assert same(record, expected)
    assert "epoch-0002.pt is a checkpoint of another epoch" in capsys.readouterr().err


def test_a_checkpoint_of_another_training_is_never_played(
    undisturbed: tuple[Cell, Path, Record], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seed 1 finds the checkpoints of seed 0 in its folder, and nothing that says that they were evaluated."""
    cell, data, _ = undisturbed
    other = dataclasses.replace(cell, seed=1)
    paths = Paths(tmp_path / "runs", data)
    for one in (cell, other):
        run_until_retest(one, paths, monkeypatch)
    for file in cell.work(paths).glob("epoch-*.pt"):
        (other.work(paths) / file.name).write_bytes(file.read_bytes())
    (other.work(paths) / "progress.json").unlink()
    with pytest.raises(OtherSettings, match=r"is a checkpoint of other settings; remove it, or use --overwrite"):
        run_cell(other, paths, "x")


@pytest.mark.parametrize("head", ["mlp", "diffusion"])
def test_half_finished_work_of_a_version_without_hashes_goes_on(
    toy_settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, head: str
) -> None:
    """Its evaluations are played again by its checkpoints, some of them averages, and training goes on as it was."""
    small = [
        "head.width=16",
        "head.heads=2",
        "head.encoder_layers=1",
        "head.decoder_layers=1",
        "head.chunk=4",
        "head.execute=2",
        "head.lead=0",
        "head.train_steps=10",
        "head.sample_steps=2",
    ]
    chosen = load_settings("metaworld-15", "quick", head, small if head == "diffusion" else []).head
    settings = dataclasses.replace(toy_settings, head=chosen, head_asked=True)
    (cell,) = make_cells(settings, ["near"], ["state"], [0])
    expected, _ = run_cell(cell, Paths(tmp_path / "whole", tmp_path / "data"), "x")
    paths, add = Paths(tmp_path / "runs", tmp_path / "data"), WorkFolder.add

    def stop(self: WorkFolder, evaluation: Any) -> None:
        add(self, evaluation)
        raise Stopped

    with monkeypatch.context() as patch:
        patch.setattr(WorkFolder, "add", stop)
        with pytest.raises(Stopped):
            run_cell(cell, paths, "x")
    file = cell.work(paths) / "progress.json"
    known = json.loads(file.read_text())
    for evaluation in known["evaluations"]:
        for name in ("link", "checkpoint", "actions"):
            del evaluation[name]
    file.write_text(json.dumps(known))
    record, _ = run_cell(cell, paths, "x")
    assert same(record, expected)


def test_training_that_ends_with_its_last_evaluation_has_a_record(toy_settings: Settings, tmp_path: Path) -> None:
    """Five epochs, evaluated after every second: the fifth is never trained."""
    protocol = dataclasses.replace(toy_settings.protocol, name="tiny", epochs=5, evaluate_every=2)
    (cell,) = make_cells(dataclasses.replace(toy_settings, protocol=protocol), ["near"], ["state"], [0])
    paths = Paths(tmp_path / "runs", tmp_path / "data")
    record, _ = run_cell(cell, paths, "x")
    assert record.training["epochs"] == 4 and read(cell.record(paths)) == record
    assert run_cell(cell, paths, "x")[1] is False, "it is found again"


def test_files_of_others_in_the_work_folder_do_no_harm(
    undisturbed: tuple[Cell, Path, Record], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cell, data, expected = undisturbed
    paths = Paths(tmp_path / "runs", data)
    run_until_retest(cell, paths, monkeypatch)
    work = cell.work(paths)
    for name in ("epoch-best.pt", "epoch-0002 (copy).pt", "resume-.pt"):
        (work / name).write_bytes(b"mine")
    for name in ("status.json", "attempts.json"):
        (work / name).write_text("[1]")
    record, _ = run_cell(cell, paths, "x")
    assert same(record, expected) and (work / "epoch-best.pt").read_bytes() == b"mine"


@pytest.mark.parametrize(("name", "text"), [("identity.json", "[1]"), ("demos.json", ""), ("identity.json", "{")])
def test_what_says_whose_work_it_is_is_not_guessed(
    undisturbed: tuple[Cell, Path, Record], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, text: str
) -> None:
    cell, data, _ = undisturbed
    paths = Paths(tmp_path / "runs", data)
    run_until_retest(cell, paths, monkeypatch)
    (cell.work(paths) / name).write_text(text)
    with pytest.raises(OtherSettings, match=r"is damaged.*--overwrite"):
        run_cell(cell, paths, "x")


@pytest.mark.parametrize("change", ["garbage", "an outcome", "no links"])
def test_changed_progress_is_played_again_from_the_checkpoints(
    undisturbed: tuple[Cell, Path, Record], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    cell, data, expected = undisturbed
    paths = Paths(tmp_path / "runs", data)
    run_until_retest(cell, paths, monkeypatch)
    file = cell.work(paths) / "progress.json"
    known = json.loads(file.read_text())
    if change == "garbage":
        file.write_text('{"identity": [NaN')
    else:
        for evaluation in known["evaluations"]:
            if change == "an outcome":
                evaluation["episodes"][0][1] ^= 1
            else:
                evaluation["link"] = evaluation["checkpoint"] = None
        file.write_text(json.dumps(known))
    stamps = {f.name: f.stat().st_mtime_ns for f in file.parent.glob("epoch-*.pt")}
    record, _ = run_cell(cell, paths, "x")
    assert same(record, expected)
    assert {f.name: f.stat().st_mtime_ns for f in file.parent.glob("epoch-*.pt")} == stamps, "nothing is trained again"


def test_a_finished_cell_with_a_damaged_checkpoint_says_so(
    undisturbed: tuple[Cell, Path, Record], tmp_path: Path
) -> None:
    cell, data, _ = undisturbed
    paths = Paths(tmp_path / "runs", data)
    record, _ = run_cell(cell, paths, "x")
    file = cell.work(paths) / f"epoch-{record.selected_epoch:04d}.pt"
    whole = file.read_bytes()
    flipped(file)
    with pytest.raises(CheckpointGone, match=r"is damaged.*--overwrite"):
        play_further(cell, paths, "x", 2)
    other = next(f for f in file.parent.glob("epoch-*.pt") if f != file)
    file.write_bytes(other.read_bytes())
    with pytest.raises(CheckpointGone, match="of other settings or of another epoch"):
        play_further(cell, paths, "x", 2)
    file.write_bytes(whole)
    more = play_further(cell, paths, "x", 2)
    assert len(more.episodes) == 2
    assert play_further(cell, paths, "x", 3).episodes[:2] == more.episodes


def test_checkpoints_of_an_earlier_version_are_taken(undisturbed: tuple[Cell, Path, Record], tmp_path: Path) -> None:
    cell, data, expected = undisturbed
    paths = Paths(tmp_path / "runs", data)
    run_cell(cell, paths, "x")
    file = next(cell.work(paths).glob("epoch-*.pt"))
    state = torch.load(file, weights_only=True)
    del state["digest"]
    torch.save(state, file)
    assert load_checkpoint(file)["identity"] == expected.identity_hash
    WorkFolder(file.parent, expected.identity_hash, cell.settings.protocol)


def test_the_actions_of_every_evaluation_are_kept_where_asked(
    undisturbed: tuple[Cell, Path, Record], tmp_path: Path
) -> None:
    cell, data, expected = undisturbed
    runtime = dataclasses.replace(cell.settings.runtime, keep_actions="all")
    asking = dataclasses.replace(cell, settings=dataclasses.replace(cell.settings, runtime=runtime))
    paths = Paths(tmp_path / "runs", data)
    record, _ = run_cell(asking, paths, "x")
    assert record.identity_hash == expected.identity_hash and same(record, expected)
    assert read(asking.record(paths)).evaluations == record.evaluations
    assert asking.record(paths).with_suffix(".evaluations.actions.npz").exists()
