"""Files that nobody vouches for in place of weights, exports, certificates, checkpoints, profiles and recordings."""

from __future__ import annotations

import io
import json
import os
import pickle
import time
import types
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import save as save_arrays
from typer.testing import CliRunner

from benchmark.cli.main import app
from benchmark.experiment.exported_features import FORMAT, BadExport, read_export
from benchmark.pretrain.data.sources import open_frames
from benchmark.records.pretraining_card import card_inside
from benchmark.system.checked_arrays import as_numbers, read_numbers
from benchmark.system.checked_json import NotPlain, read_bytes
from benchmark.system.errors import ConfigError
from envs.files import why_no_file
from methods.errors import BadWeights
from tests.pretrain.test_calibrated import config, record
from tests.pretrain.test_rlbench import config as rlbench_config
from tests.pretrain.test_rlbench import their_classes, write_episode

__all__ = ["their_classes"]  # a fixture


class Evil:
    """Leaves a file if a pickle of it is run."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.mark}",)


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of what is none of the files that any verb takes."""
    place = tmp_path_factory.mktemp("odd")
    mark = place / "was-run"
    (place / "empty").write_bytes(b"")
    (place / "garbage").write_bytes(np.random.default_rng(0).bytes(5000))
    (place / "text").write_text("hello\n")
    (place / "latin").write_bytes(b'{"method": "\xff"}')
    (place / "deep").write_text("[" * 100_000)
    (place / "json").write_text('{"method": NaN}')
    (place / "list").write_text("[1]")
    (place / "folder").mkdir()
    os.mkfifo(place / "pipe")
    (place / "ring").symlink_to(place / "ring")
    (place / "pickle").write_bytes(pickle.dumps(Evil(mark)))
    torch.save({"x": Evil(mark)}, place / "evil.pt")
    torch.save({"x": torch.zeros(3)}, place / "others.pt")
    torch.save({"card": "{}"}, place / "card.pt")
    buffer = io.BytesIO()
    torch.save({"x": torch.zeros(3000)}, buffer)
    (place / "cut.pt").write_bytes(buffer.getvalue()[:900])
    whole = save_arrays({"feature": np.zeros((2, 3), np.float32)}, {"repbench": json.dumps({"format": FORMAT})})
    (place / "cut.safetensors").write_bytes(whole[:-4])
    (place / "header.safetensors").write_bytes(b"\xff" * 8 + whole[8:])
    (place / "others.safetensors").write_bytes(whole)
    for name in ("empty", "text", "pipe", "folder"):
        (place / f"{name}.safetensors").symlink_to(place / name)
    with zipfile.ZipFile(place / "script.pt", "w") as archive:
        archive.writestr("x/constants.pkl", b"")
        archive.writestr("x/data.pkl", pickle.dumps(Evil(mark)))
    with (place / "huge").open("wb") as file:
        file.truncate(2**32)
    return place


VERBS = {
    "verify --weights": ("verify", "r3m-resnet18", "--weights", "FILE"),
    "run --weights": ("run", "--method", "clar", "--tasks", "hammer", "--dry-run", "--weights", "FILE"),
    "features train": ("features", "train", "FILE"),
    "verify --against": ("verify", "state", "--against", "FILE"),
    "retrieval": ("retrieval", "--weights", "FILE"),
    "attention": ("attention", "--weights", "FILE"),
}


@pytest.mark.slow
@pytest.mark.parametrize("verb", VERBS)
def test_any_other_file_is_one_line(verb: str, odd: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    files = [*sorted(odd.iterdir()), odd / "absent", odd / ("n" * 300)]
    for file in files[::4] if verb == "run --weights" else files:  # it reads as `verify` does
        start = time.monotonic()
        done = CliRunner().invoke(app, [str(file) if word == "FILE" else word for word in VERBS[verb]])
        said = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
        assert done.exit_code in (1, 2) and isinstance(done.exception, SystemExit), (file.name, done.exception)
        assert len(said) == 1 and str(odd) in said[0], (file.name, done.stderr)
        assert time.monotonic() - start < 20, file.name
    assert not (odd / "was-run").exists()


@pytest.mark.slow
def test_launch_profiles_and_sweeps_that_are_damaged_are_one_line(
    odd: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCH_CONFIG", str(tmp_path / "conf"))
    folder, sweep = tmp_path / "conf/launcher", tmp_path / "runs/sweeps/x"
    folder.mkdir(parents=True)
    sweep.mkdir(parents=True)
    for file in sorted(odd.iterdir()):
        (folder / "mine.yaml").unlink(missing_ok=True)
        (folder / "mine.yaml").symlink_to(file)
        (sweep / "sweep.json").unlink(missing_ok=True)
        (sweep / "sweep.json").symlink_to(file)
        for words in (("run", "--method", "state", "--launcher", "mine", "--dry-run"), ("status",)):
            done = CliRunner().invoke(app, [*words, "--out", str(tmp_path / "runs")])
            assert (done.exit_code, type(done.exception)) == (2, SystemExit), (file.name, words, done.exception)
            assert len(done.stderr.splitlines()) == 1 and done.stderr.startswith("error: "), done.stderr


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("kind: slurm\ncpus: true", "launcher.cpus=True is not allowed: it must be a whole number"),
        ("kind: slurm\ntime: -5", "at least 1"),
        ("kind: slurm\nextra: 3", "launcher.extra must be"),
        ("kind: slurm\nsetup: [{a: 1}]", "each of one line"),
        ('kind: slurm\nsetup: ["a\\nb"]', "each of one line"),
        ('kind: slurm\npartition: "x\\n#SBATCH -A y"', "it must be a name"),
        ("kind: slurm\n1: 2", "names of fields are words"),
        ("kind: local\njobs: many", "launcher.jobs='many'"),
        ("kind: local\njobs: 0", "launcher.jobs=0"),
        ("kind: local\nmemory_gb: .nan", "launcher.memory_gb=nan"),
        ("!!python/object/apply:os.system [ls]", "is no YAML"),
    ],
)
def test_a_field_of_a_profile_is_checked(
    text: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCH_CONFIG", str(tmp_path))
    (tmp_path / "launcher").mkdir()
    (tmp_path / "launcher/mine.yaml").write_text(text)
    done = CliRunner().invoke(app, ["run", "--method", "state", "--launcher", "mine", "--dry-run"])
    assert done.exit_code == 2 and expected in done.stderr, done.output


def export(path: Path, facts: dict[str, Any], arrays: dict[str, np.ndarray]) -> Path:
    good = {
        "format": FORMAT,
        "task": "reach",
        "method": "r3m",
        "steps": 2,
        "train_episodes": 1,
        "demo_hash": "x",
        "weights": "published",
        "weights_sha256": {},
        "names": {},
    }
    there = {name: np.ones((4, 3), np.float32) for name in ("feature", "proprio", "actions")}
    path.write_bytes(save_arrays({**there, **arrays}, {"repbench": json.dumps({**good, **facts})}))
    return path


def test_an_export_is_checked_before_anything_is_trained(tmp_path: Path) -> None:
    read_export(export(tmp_path / "a", {}, {}))
    nan = np.full((4, 3), np.nan, np.float32)
    for facts, arrays, expected in (
        ({"task": 3}, {}, "its task is 3, not str"),
        ({"steps": True}, {}, "its steps is True"),
        ({"steps": 3}, {}, "rows of demonstrations of 3 steps"),
        ({"train_episodes": 9}, {}, "9 demonstrations to"),
        ({}, {"feature": nan}, "feature holds NaN"),
        ({}, {"actions": np.ones(4, np.float32)}, "actions is float32"),
        ({}, {"proprio": np.ones((4, 3))}, "proprio is float64"),
        ({"format": 99}, {}, "has format 99"),
        ({}, {"actions": np.ones((3, 3), np.float32)}, "rows of demonstrations"),
    ):
        with pytest.raises(BadExport, match=expected):
            read_export(export(tmp_path / "a", facts, arrays))


def test_a_damaged_card_in_a_checkpoint_is_named(tmp_path: Path) -> None:
    for card in ("{}", "[]", "null", "[" * 100_000, '{"method": "clar", "identity": 3}'):
        torch.save({"card": card}, tmp_path / "a.pt")
        with pytest.raises(BadWeights, match="a.pt carries a damaged card"):
            card_inside(tmp_path / "a.pt")
    torch.save({"x": torch.zeros(1)}, tmp_path / "a.pt")
    assert card_inside(tmp_path / "a.pt") is None, "somebody else's weights carry none"


def change(classes: types.SimpleNamespace, folder: Path, edit: Any) -> None:
    """Edit the observations of an episode that is written."""
    file = folder / "low_dim_obs.pkl"
    demo = pickle.loads(file.read_bytes())
    edit(demo._observations)
    file.write_bytes(pickle.dumps(demo))


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        (lambda o: delattr(o[2], "joint_positions"), "observation 2 has no joint_positions .7 joint angles"),
        (lambda o: setattr(o[1], "joint_positions", None), "observation 1 has no joint_positions"),
        (lambda o: o[0].joint_positions.__setitem__(3, np.nan), "joint_positions has NaN or infinity in 1 of 7"),
        (lambda o: setattr(o[0], "joint_positions", np.zeros(3)), r"joint_positions is \(3,\), not \(7,\)"),
        (lambda o: setattr(o[0], "gripper_pose", np.array([None] * 7)), "an array of object, no numbers"),
        (lambda o: setattr(o[0], "gripper_pose", "here"), "gripper_pose is str, no numbers"),
        (lambda o: o[0].misc.__setitem__("front_camera_near", np.inf), "front_camera_near has NaN or infinity"),
        (
            lambda o: o[0].misc.__setitem__("front_camera_extrinsics", np.zeros((3, 4))),
            "extrinsics is .3, 4., not .4, 4.",
        ),
        (lambda o: setattr(o[0], "misc", None), "observation 0 has no misc"),
    ],
)
def test_an_observation_of_rlbench_that_lacks_something_is_named(
    edit: Any, expected: str, their_classes: types.SimpleNamespace, tmp_path: Path
) -> None:
    folder = tmp_path / "rl/close_jar/all_variations/episodes/episode0"
    write_episode(folder, their_classes)
    change(their_classes, folder, edit)
    source = rlbench_config(tmp_path / "rl", "demos=1", "held_out=0", "num_points=64")
    with pytest.raises(ConfigError, match=expected) as found:
        open_frames([source], tmp_path / "cache", False, 1)
    assert "low_dim_obs.pkl: observation" in str(found.value) and "\n" not in str(found.value)


def test_places_are_numbers_and_nothing_in_them_is_run(tmp_path: Path) -> None:
    folder = record(tmp_path, "a")
    file = folder / "tcp.npy"
    objects = np.array([Evil(tmp_path / "was-run")] * 18, object).reshape(6, 3)
    np.save(file, objects, allow_pickle=True)
    whole = io.BytesIO()
    np.save(whole, np.zeros((6, 3)))
    header = whole.getvalue().replace(b"(6, 3), ", b"(9**9,),")
    for content, expected in (
        (file.read_bytes(), "cannot be read .ValueError: Object arrays"),
        (b"", "cannot be read .EOFError"),
        (header, "cannot be read"),
        (whole.getvalue()[:-9], "cannot be read"),
        (_npy(np.full((6, 3), np.nan)), "NaN or infinity in 18 of 18"),
        (_npy(np.zeros((6, 3), "U5")), "no numbers"),
        (_npy(np.zeros((6, 4))), r"is \(6, 4\), not \(6, 3\)"),
        (_npy(np.zeros((6, 3), complex)), "no numbers"),
    ):
        file.write_bytes(content)
        with pytest.raises(ConfigError, match=expected) as found:
            open_frames([config(tmp_path)], tmp_path / "cache", False, 1)
        assert str(file) in str(found.value) and "\n" not in str(found.value)
    file.unlink()
    os.mkfifo(file)
    with pytest.raises(ConfigError, match="no regular file"):
        open_frames([config(tmp_path)], tmp_path / "cache", False, 1)
    assert not (tmp_path / "was-run").exists()


def _npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        (lambda d: d.update(robot_from_camera=[[float("nan")] * 4] * 4), "NaN, which is no number"),
        (lambda d: d.update(intrinsics=[[0, 0, 0]] * 3), "focal lengths 0 and 0"),
        (lambda d: d.update(intrinsics=[[1e400, 0, 0], [0, 1, 0], [0, 0, 1]]), "no number"),
        (lambda d: d.update(depth_unit="x"), "ValueError"),
    ],
)
def test_a_camera_without_numbers_is_named(edit: Any, expected: str, tmp_path: Path) -> None:
    record(tmp_path, "a", change=edit)
    with pytest.raises(ConfigError, match=expected):
        open_frames([config(tmp_path)], tmp_path / "cache", False, 1)


def test_what_is_no_file_is_said_and_never_opened(odd: Path) -> None:
    said = {name: why_no_file(odd / name) for name in ("folder", "pipe", "ring", "absent", "n" * 300, "a\0b", "text")}
    assert said["folder"] == "is a folder" and said["pipe"] == "is a pipe" and said["absent"] == "is not there"
    assert "symbolic links" in str(said["ring"]) and "null byte" in str(said["a\0b"]) and said["text"] is None
    for name in ("folder", "pipe", "ring", "absent", "a\0b"):
        with pytest.raises(NotPlain):
            read_bytes(odd / name)
    assert why_no_file(Path("/dev/zero")) == "is a device"


def test_numbers_are_numbers(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.arange(6).reshape(2, 3))
    assert read_numbers(tmp_path / "a.npy", (2, 3), "x").dtype == np.float64
    for bad in (None, "1", b"1", {}, [1, "a"], np.array(["1"]), np.array([True])):
        with pytest.raises(ConfigError, match="no numbers"):
            as_numbers(bad, (1,), "here", "x")
