"""Pre-training's states, weights and prepared frames that a disk has damaged: named, and computed again."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmark.pretrain import resume
from benchmark.pretrain import run as runs
from benchmark.pretrain.data.conversion import Moment, convert
from benchmark.pretrain.resume import DamagedCheckpoint, read_state, write_state
from benchmark.pretrain.teacher_features import BATCH, TeacherFeatures
from benchmark.pretrain.trainer import PretrainTrainer
from benchmark.records.pretraining_files import read_card
from benchmark.system.errors import OtherSettings
from benchmark.training.checkpoint import DamagedCheckpoint as OfAPolicy
from benchmark.training.checkpoint import load_checkpoint
from envs.crop import Crop
from envs.recorded_views import View
from methods.clar.teacher import RandomTeacher
from tests import damage
from tests.pretrain import scenes
from tests.pretrain.test_run import job, paths, pretrain, weights

pytestmark = pytest.mark.slow

__all__ = ["paths"]
STATE = {
    "identity": "me",
    "step": 3,
    "model": {"w": torch.arange(400.0)},
    "facts": {"history": [], "seconds": 1.5},
    "optimizer": {"state": {0: {"step": torch.tensor(3.0)}}, "param_groups": [{"lr": 1e-3, "betas": (0.9, 0.999)}]},
}


@pytest.mark.parametrize("harm", damage.EVERY, ids=lambda harm: harm.__name__)
def test_a_damaged_state_is_refused(harm: Callable[[Path], None], tmp_path: Path) -> None:
    write_state(tmp_path / "resume.pt", STATE)
    assert read_state(tmp_path / "resume.pt")["model"]["w"].equal(STATE["model"]["w"])  # type: ignore[index]
    harm(tmp_path / "resume.pt") if harm is not damage.flip else flip_a_weight(tmp_path / "resume.pt")
    with pytest.raises(DamagedCheckpoint, match="resume.pt is (damaged|no file)"):
        read_state(tmp_path / "resume.pt")


def flip_a_weight(file: Path) -> None:
    """One bit of one tensor's bytes, where torch itself notices nothing."""
    content = bytearray(file.read_bytes())
    content[content.index(torch.arange(300.0, 310.0).numpy().tobytes())] ^= 1
    file.write_bytes(content)
    assert torch.load(file, weights_only=True)["model"]["w"].shape == (400,)


def test_no_flipped_byte_of_a_state_passes(tmp_path: Path) -> None:
    """Whatever a byte belongs to (tensors, names, the archive's padding): refused, or the very state that was saved."""
    write_state(tmp_path / "a.pt", STATE)
    content = (tmp_path / "a.pt").read_bytes()
    refused = 0
    for place in range(0, len(content), 13):
        changed = bytearray(content)
        changed[place] ^= 1 << (place % 8)
        (tmp_path / "b.pt").write_bytes(changed)
        try:
            found = read_state(tmp_path / "b.pt")
        except DamagedCheckpoint:
            refused += 1
        else:
            assert resume.state_digest(found) == resume.state_digest(STATE), place
    assert refused > len(content) / 13 / 3


@pytest.mark.parametrize("read", [read_state, load_checkpoint])
def test_wherever_it_is_cut_off_it_is_damaged(read: Callable[[Path], Any], tmp_path: Path) -> None:
    """Of a first part of 4 to 70 KB torch says `Invalid argument`, as of a disk that fails."""
    write_state(tmp_path / "whole.pt", {**STATE, "model": {"w": torch.arange(200_000.0)}})
    content = (tmp_path / "whole.pt").read_bytes()
    for length in (0, 1, 100, 3_000, 5_000, 20_000, 66_000, 68_000, 100_000, len(content) - 1):
        (tmp_path / "cut.pt").write_bytes(content[:length])
        with pytest.raises((DamagedCheckpoint, OfAPolicy), match="cut.pt is damaged"):
            read(tmp_path / "cut.pt")


def test_a_state_of_an_earlier_version_is_taken_and_said(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    torch.save(STATE, tmp_path / "resume.pt")
    assert read_state(tmp_path / "resume.pt")["step"] == 3
    assert "was written by an earlier version, without a digest" in capfd.readouterr().err
    torch.save({**STATE, "eigest": "0"}, tmp_path / "resume.pt")
    with pytest.raises(DamagedCheckpoint, match="no state of a pre-training"):
        read_state(tmp_path / "resume.pt")


def stopped(a_job: Any, paths: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int = 5) -> Path:
    """A pre-training that was killed; its folder."""
    step = PretrainTrainer.train_step

    def stops(self: PretrainTrainer, *arguments: Any, **kw: Any) -> Any:
        if self.step == after:
            raise KeyboardInterrupt
        return step(self, *arguments, **kw)

    with monkeypatch.context() as patch:
        patch.setattr(runs, "SAVE_EVERY", 0.0)
        patch.setattr(PretrainTrainer, "train_step", stops)
        with pytest.raises(KeyboardInterrupt):
            pretrain(a_job, paths, tmp_path)
    return Path(a_job.folder(paths.out))


@pytest.mark.parametrize(("files", "goes_on"), [(["resume.pt"], 4), (["resume.pt", "resume-before.pt"], 0)])
def test_a_damaged_state_is_dropped_and_computed_again(
    files: list[str],
    goes_on: int,
    paths: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    whole, broken = job(name="whole"), job(name="broken")
    expected, _ = pretrain(whole, paths, tmp_path)
    folder = stopped(broken, paths, tmp_path, monkeypatch)
    for name, harm in zip(files, (damage.zero, damage.truncate), strict=False):
        harm(folder / name)
    capfd.readouterr()
    card, new = pretrain(broken, paths, tmp_path)
    said = capfd.readouterr().err
    for name in files:
        assert f"{folder / name} is damaged" in said
    assert said.count(f": dropped; pre-training goes on from step {goes_on}") == len(files)
    assert new and card["history"] == expected["history"]
    ours, theirs = weights(broken, paths), weights(whole, paths)
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert not list(folder.glob("resume*"))


def test_a_damaged_state_is_never_kept_as_the_one_before(
    paths: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = stopped(job(name="broken"), paths, tmp_path, monkeypatch, 3)
    damage.zero(folder / "resume.pt")
    stopped(job(name="broken"), paths, tmp_path, monkeypatch, 4)
    for name in ("resume.pt", "resume-before.pt"):
        read_state(folder / name)


@pytest.mark.parametrize("harm", [damage.flip, damage.zero, damage.truncate])
def test_damaged_weights_of_a_finished_pretraining_are_trained_again(
    harm: Callable[[Path], None], paths: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    before, _ = pretrain(job(), paths, tmp_path)
    expected = weights(job(), paths)
    file = job().weights(paths.out)
    harm(file)
    assert read_card(file.parent) is None
    with pytest.raises(OtherSettings, match="other settings"):
        pretrain(job("learning_rate=1e-4", name=job().label), paths, tmp_path)
    capfd.readouterr()
    after, new = pretrain(job(), paths, tmp_path)
    assert new and f"{file} is damaged" in capfd.readouterr().err
    assert after["history"] == before["history"] and file.with_name(f"{file.name}.damaged").exists()
    found = weights(job(), paths)
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_a_damaged_card_is_named(paths: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    pretrain(job(), paths, tmp_path)
    file = job().card(paths.out)
    file.write_text(file.read_text()[:-20])
    card, new = pretrain(job(), paths, tmp_path)
    assert new and read_card(file.parent) == card and f"{file} is damaged" in capfd.readouterr().err


CROP = Crop((-1.0, -1.0, 0.0), (1.0, 1.0, 2.0))


def moments(count: int = 6) -> list[Moment]:
    draw = np.random.default_rng(0)
    depths = draw.uniform(0.5, 1.5, (count, 8, 8)).astype(np.float32)
    depths[2] = np.inf  # a moment that sees nothing
    camera = np.array([[8.0, 0, 4], [0, 8, 4], [0, 0, 1]])
    return [
        Moment(str(n), "push", False, lambda d=d: [View(np.zeros((8, 8, 3), np.uint8), d, camera, np.eye(4))])  # type: ignore[misc]
        for n, d in enumerate(depths)
    ]


def converted(root: Path, again: bool = True) -> list[np.ndarray]:
    def never() -> list[View]:
        raise AssertionError("nothing is converted twice")

    those = moments() if again else [Moment(m.trajectory, "push", False, never) for m in moments()]
    fields, kept = convert(root, "push", "title", those, CROP, 16, True)
    return [np.array(fields[name]) for name in sorted(fields)] + [kept]


FRAMES = ("points", "points_valid", "rgb", "depth", "intrinsics", "extrinsics", "kept")


@pytest.mark.parametrize("name", [*(f"{field}.npy" for field in FRAMES), "complete.json"])
@pytest.mark.parametrize("harm", damage.EVERY, ids=lambda harm: harm.__name__)
def test_damaged_frames_are_named_and_converted_again(
    harm: Callable[[Path], None], name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    before = converted(tmp_path)
    assert list(before[-1]) == [0, 1, 3, 4, 5]
    folder = tmp_path / "frames" / "push"
    # the last row of a field's file is the moment that was left out
    place = {"complete.json": 0.0, "kept.npy": 0.9}.get(name, 0.6)
    harm(folder / name) if harm is not damage.flip else damage.flip(folder / name, place)
    capfd.readouterr()
    for one, other in zip(converted(tmp_path), before, strict=True):
        np.testing.assert_array_equal(one, other)
    said = [line for line in capfd.readouterr().err.splitlines() if str(folder) in line]
    if (name, harm) != ("complete.json", damage.delete):
        (line,) = said
        assert name in line and line.endswith(": converted again")
    for one, other in zip(converted(tmp_path, again=False), before, strict=True):
        np.testing.assert_array_equal(one, other)


def test_frames_of_an_earlier_version_are_converted_again(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    converted(tmp_path)
    (tmp_path / "frames" / "push" / "complete.json").write_text(json.dumps({"moments": 6, "kept": 5}))
    capfd.readouterr()
    converted(tmp_path)
    assert "was made by an earlier version, without checksums: converted again" in capfd.readouterr().err


def taught(root: Path) -> list[np.ndarray]:
    frames = scenes.frames(scenes.shard(2 * BATCH + 6, 20))
    teacher = RandomTeacher(size=32, patch=4, dim=16, map_dim=8)
    (images,) = TeacherFeatures(frames, teacher, root, torch.device("cpu")).arrays
    return [np.array(images[name]) for name in sorted(images)]


@pytest.fixture(scope="module")
def lessons(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("lessons")
    taught(root)
    return root


@pytest.mark.parametrize("name", ["image_feature.npy", "image_map.npy", "done.json", "complete.json", "kept.npz"])
@pytest.mark.parametrize("harm", damage.EVERY, ids=lambda harm: harm.__name__)
def test_damaged_lessons_are_named_and_made_again(
    harm: Callable[[Path], None], name: str, lessons: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "copy"
    shutil.copytree(lessons, root)
    before = taught(root)
    (folder,) = [path for path in (root / "teaching").iterdir() if path.is_dir()]
    harm(folder / name) if name != "image_feature.npy" else harm_or_flip(harm, folder / name)
    capfd.readouterr()
    for one, other in zip(taught(root), before, strict=True):
        np.testing.assert_array_equal(one, other)
    said = [line for line in capfd.readouterr().err.splitlines() if str(folder) in line]
    if (name, harm) != ("complete.json", damage.delete):
        (line,) = said
        assert name in line and line.endswith(": made again")
    taught(root)
    assert str(folder) not in capfd.readouterr().err


def harm_or_flip(harm: Callable[[Path], None], file: Path) -> None:
    """A flip in the last batch, of which no frame is kept."""
    harm(file) if harm is not damage.flip else damage.flip(file, 0.97)
