"""Stored demonstrations of RLBench: from folders in its layouts to a policy's held-out losses, without RLBench."""

from __future__ import annotations

import json
import pickle
import pickletools
import re
import shutil
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from typer.testing import CliRunner

from benchmark.cli.main import app
from benchmark.data.demo_file import load
from benchmark.data.rlbench_import import Imported, import_tasks
from benchmark.data.safe_pickle import Hostile
from benchmark.records.read import BadRecord, read
from benchmark.settings.load import load_settings
from benchmark.settings.settings import Settings
from benchmark.system.errors import ConfigError
from envs.camera import project
from envs.rlbench.sensing import proprio_of
from envs.rlbench_port.places import BASE
from tests.data import rlbench_data_set as made

pytestmark = pytest.mark.slow

SMALL = [f"suite.observation.{side}={made.SIZE}" for side in ("height", "width")]
SPLIT = ["protocol.train_demos=3", "protocol.valid_demos=1"]


def settings_of(*overrides: str) -> Settings:
    return load_settings("rlbench-4", "clar-rlbench", None, [*SMALL, *SPLIT, *overrides])


def imported(root: Path, data: Path, *overrides: str) -> Imported:
    (found,) = import_tasks(root, data, settings_of(*overrides), ["close-box"])
    return found


@pytest.fixture(scope="module")
def data_set(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[np.ndarray]]:
    root = tmp_path_factory.mktemp("rlbench")
    return root, made.write_data_set(root, 5, cameras=("front", "wrist"))


@pytest.fixture(scope="module")
def both(data_set: tuple[Path, list[np.ndarray]], tmp_path_factory: pytest.TempPathFactory) -> Imported:
    return imported(data_set[0], tmp_path_factory.mktemp("data"), "suite.observation.cameras=[front,wrist]")


@pytest.fixture
def copy(data_set: tuple[Path, list[np.ndarray]], tmp_path: Path) -> Path:
    """Of the data set, to be damaged."""
    return shutil.copytree(data_set[0], tmp_path / "copy")


def test_rows_are_keyframes_with_the_declared_state_and_action(
    data_set: tuple[Path, list[np.ndarray]], both: Imported
) -> None:
    demos = load(both.path)
    assert demos.content_hash == both.demos.content_hash and demos.train == 3 and len(demos.seeds) == 4
    assert demos.episodes.lengths == (3, 3, 3, 3) and not both.left
    assert demos.arrays["success"].tolist() == [False, False, True] * 4
    proprio, actions = demos.of_each("proprio"), demos.of_each("actions")
    for postures, states, moves in zip(data_set[1][:4], proprio, actions, strict=True):
        np.testing.assert_allclose(states[:, :7], postures[:3], atol=1e-6)
        assert states[:, 14].tolist() == [1, 1, 0] and moves[:, 7].tolist() == [1, 0, 0]
        assert (states[:, 11] >= 0).all() and (moves[:, 6] >= 0).all()
        poses = np.stack([made.gripper_pose(one) for one in postures])
        np.testing.assert_allclose(states[:, 7:10], poses[:3, :3] - BASE, atol=1e-6)
        np.testing.assert_allclose(states[:, 7:10] + moves[:, :3], poses[1:, :3] - BASE, atol=1e-6)
        turned = Rotation.from_quat(moves[:, 3:7].astype(float)) * Rotation.from_quat(states[:, 10:14].astype(float))
        assert ((turned.inv() * Rotation.from_quat(poses[1:, 3:])).magnitude() < 1e-5).all()


def test_lift3ds_sign_of_the_state_is_an_option(data_set: tuple[Path, list[np.ndarray]], both: Imported) -> None:
    """A hand that points down and is tilted the other way has w < 0 on the side of DOWN."""
    tilted = Rotation.from_euler("y", 170, degrees=True).as_quat() * -1
    assert tilted[3] < 0 < -tilted[1]
    observation = SimpleNamespace(gripper_pose=[0, 0, 1, *tilted], joint_positions=np.zeros(7), gripper_open=1.0)
    ours, theirs = proprio_of(observation)[10:14], proprio_of(observation, lift3d=True)[10:14]
    assert ours[1] > 0 and theirs[3] >= 0
    np.testing.assert_allclose(np.abs(ours), np.abs(tilted), atol=1e-6)
    (other,) = [Rotation.from_euler("y", 190, degrees=True).as_quat()]
    observation.gripper_pose = [0, 0, 1, *(other if other[1] > 0 else -other)]
    ours, theirs = proprio_of(observation)[10:14], proprio_of(observation, lift3d=True)[10:14]
    assert ours[1] > 0 > ours[3] and theirs[3] > 0 > theirs[1], "here the two differ"


def test_what_is_seen_is_in_the_robot_frame(both: Imported) -> None:
    assert both.demos.sensors is not None
    fields = load(both.path).sensors.read(0)  # type: ignore[union-attr]
    assert fields["rgb"].shape == (3, 2, made.SIZE, made.SIZE, 3) and fields["points"].shape == (3, 1024, 3)
    cloud = fields["points"][0][fields["points_valid"][0]]
    assert len(cloud) > 500
    np.testing.assert_allclose(cloud[:, 2], made.TABLE - BASE[2], atol=2e-4)
    assert np.isinf(fields["depth"]).any() and (fields["intrinsics"][:, :, [0, 1], [0, 1]] > 0).all()
    red = cloud[(fields["point_colors"][0][fields["points_valid"][0]] == [255, 0, 0]).all(axis=1)]
    for camera in (0, 1):
        pixels, _ = project(red, fields["intrinsics"][0, camera], fields["extrinsics"][0, camera])
        rows, columns = np.nonzero((fields["rgb"][0, camera] == [255, 0, 0]).all(axis=-1))
        np.testing.assert_allclose(pixels.mean(axis=0), [columns.mean() + 0.5, rows.mean() + 0.5], atol=1.0)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_every_pickle_protocol_and_either_numpy(tmp_path: Path, protocol: int) -> None:
    made.write_data_set(tmp_path / "root", 4, cameras=("front",), protocol=protocol)
    here = imported(tmp_path / "root", tmp_path / "data").demos.content_hash
    other = (b"numpy._core.", b"numpy.core.")
    swapped = other if np.__version__[0] != "1" else other[::-1]
    for number in range(4):  # as the other numpy spells its modules; lengths stand before names
        file = made.episode_folder(tmp_path / "root", number) / "low_dim_obs.pkl"
        content = _unframed(file.read_bytes())
        renamed = re.sub(
            rb"([\x8c])(.)" + re.escape(swapped[0]),
            lambda m: m[1] + bytes([m[2][0] + len(swapped[1]) - len(swapped[0])]) + swapped[1],
            content,
            flags=re.DOTALL,
        ).replace(b"c" + swapped[0], b"c" + swapped[1])
        assert renamed != content
        file.write_bytes(renamed)
    assert imported(tmp_path / "root", tmp_path / "other").demos.content_hash == here


def _unframed(content: bytes) -> bytes:
    """Without its FRAME opcodes (0x95 and 8 bytes), which are optional: names in it may then be of any length."""
    frames = [at for code, _, at in pickletools.genops(content) if code.name == "FRAME"]
    return b"".join(content[a + 9 if a else 0 : b] for a, b in pairwise([0, *frames, len(content)]))


def test_peracts_layout_is_the_same(data_set: tuple[Path, list[np.ndarray]], tmp_path: Path) -> None:
    made.write_data_set(tmp_path / "peract", 5, peract=True, cameras=("front", "wrist"), ignore_collisions=1)
    there = imported(tmp_path / "peract", tmp_path / "data")
    here = imported(data_set[0], tmp_path / "other")
    assert there.demos.content_hash == here.demos.content_hash
    shutil.copytree(data_set[0] / "close_box" / "variation0", tmp_path / "peract" / "close_box" / "variation0")
    with pytest.raises(ConfigError, match="all_variations and variation0: the same episodes twice"):
        imported(tmp_path / "peract", tmp_path / "data")


def test_episodes_that_are_not_whole_are_passed_over_and_named(copy: Path, tmp_path: Path) -> None:
    folder = made.episode_folder(copy, 1)
    cut = (folder / "low_dim_obs.pkl").read_bytes()
    for damage, said in (
        (lambda: (folder / "low_dim_obs.pkl").write_bytes(cut[: len(cut) // 2]), "episode1/low_dim_obs.pkl is no demo"),
        (lambda: (folder / "low_dim_obs.pkl").unlink(), "episode1/low_dim_obs.pkl is not there"),
        (lambda: (folder / "front_rgb" / "20.png").unlink(), "has 34 observations and 33 images in front_rgb"),
    ):
        shutil.rmtree(folder)
        shutil.copytree(made.episode_folder(copy, 0), folder)
        damage()
        found = imported(copy, tmp_path / "data")
        assert len(found.left) == 1 and said in found.left[0], found.left
        assert found.demos.attempts == 5 and len(found.demos.seeds) == 4
    with pytest.raises(ConfigError, match=r"has 4 demonstrations of close-box, and 5 are wanted.*1 of 5.*front_rgb"):
        imported(copy, tmp_path / "data", "protocol.train_demos=4")


def rewrite(folder: Path, **options: Any) -> None:
    shutil.rmtree(folder)
    folder.mkdir()
    with made.their_classes() as classes:
        made.write_episode(folder, classes, cameras=("front",), **options)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"keyframes": 1}, "has 1 keyframe, and a demonstration has at least 2"),
        ({"keyframes": 26}, "has 26 keyframes, and an episode 25"),
        ({"gripper_pose": np.zeros(7)}, "whose quaternion is none"),
    ],
)
def test_an_episode_that_is_no_demonstration_is_passed_over(
    copy: Path, tmp_path: Path, options: dict[str, Any], said: str
) -> None:
    rewrite(made.episode_folder(copy, 0), **options)
    found = imported(copy, tmp_path / "data")
    assert len(found.left) == 1 and said in found.left[0], found.left


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"joint_velocities": None}, "has no joint_velocities.*Generate the data with it"),
        ({"joint_positions": np.zeros(6)}, r"joint_positions is \(6,\), not \(7,\)"),
        ({"misc": {}}, "no camera front"),
        ({"gripper_open": "yes"}, "gripper_open is str, no numbers"),
    ],
)
def test_data_without_what_is_needed_stops_with_the_reason(
    copy: Path, tmp_path: Path, options: dict[str, Any], said: str
) -> None:
    rewrite(made.episode_folder(copy, 0), **options)
    with pytest.raises(ConfigError, match=said):
        imported(copy, tmp_path / "data")


def test_settings_that_do_not_fit_the_data(copy: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="overhead_rgb is no folder.*suite.observation.cameras"):
        imported(copy, tmp_path / "data", "suite.observation.cameras=[overhead]")
    with pytest.raises(ConfigError, match="48 x 48 pixels, and the suite 64 x 48.*suite.observation.height=48"):
        imported(copy, tmp_path / "data", "suite.observation.height=64")
    with pytest.raises(ConfigError, match="is no folder"):
        imported(tmp_path / "nowhere", tmp_path / "data")
    (copy / "toilet_seat_down").mkdir()
    with pytest.raises(ConfigError, match="has no episodes"):
        import_tasks(copy, tmp_path / "data", settings_of(), ["toilet-seat-down"])
    with pytest.raises(ConfigError, match="plays in metaworld"):
        import_tasks(copy, tmp_path / "data", load_settings("metaworld-15", "clar", None), ["reach"])
    for file in made.episode_folder(copy, 0).glob("front_rgb/*.png"):
        made.Image.new("RGB", (made.SIZE, made.SIZE)).save(file)
    found = imported(copy, tmp_path / "data")
    assert "front_rgb/0.png is black" in found.left[0]


class Bomb:
    def __reduce__(self) -> Any:
        return print, ("repbench was here",)


@pytest.mark.parametrize("where", ["low_dim_obs.pkl", "variation_descriptions.pkl"])
def test_a_hostile_pickle_stops_the_import(
    copy: Path, tmp_path: Path, where: str, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = made.episode_folder(copy, 0)
    (folder / where).write_bytes(pickle.dumps([Bomb()]))
    with pytest.raises(Hostile, match=f"{where}.*builtins.print"):
        imported(copy, tmp_path / "data")
    assert "repbench was here" not in capfd.readouterr().out
    assert not list((tmp_path / "data").rglob("*.hdf5"))


def test_another_task_is_pointed_out(copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made.write_descriptions(copy / "close_box" / "variation0" / "variation_descriptions.pkl", ["open the wine bottle"])
    imported(copy, tmp_path / "data")
    assert "described there as 'open the wine bottle'" in capsys.readouterr().err


def test_another_robots_place_is_pointed_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    made.write_data_set(tmp_path / "here", 4, cameras=("front",))
    imported(tmp_path / "here", tmp_path / "data")
    assert "stands at" not in capsys.readouterr().err
    monkeypatch.setattr(made, "BASE", np.add(BASE, [0.2, 0.0, 0.0]))
    made.write_data_set(tmp_path / "there", 4, cameras=("front",))
    imported(tmp_path / "there", tmp_path / "other")
    assert "its robot stands at [-0.068, -0.005, 0.752] in the world" in capsys.readouterr().err


@pytest.fixture(scope="module")
def trained(data_set: tuple[Path, list[np.ndarray]], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """OUT of `bench import` and `bench run --no-rollouts`, and what that printed."""
    out = tmp_path_factory.mktemp("out")
    told = ["--suite", "rlbench-4", "--protocol", "clar-rlbench", "--tasks", "close-box", "--out", str(out)]
    small = [*SMALL, *SPLIT, "protocol.epochs=4", "protocol.evaluate_every=2"]
    _invoke(["import", "rlbench", "--root", str(data_set[0]), *told, *small])
    method = ["--method", "proprio-only,dp3"]
    said = _invoke(["run", *told, *method, "--no-rollouts", *small])
    again = _invoke(["run", *told, *method, "--no-rollouts", *small])
    assert again == said, "what is there is not computed again"
    return out, said


def _invoke(arguments: list[str], code: int = 0) -> str:
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == code, (done.output, done.exception)
    return done.stdout


def test_training_without_a_simulator_gives_losses_and_says_that_they_are_none(trained: tuple[Path, str]) -> None:
    out, said = trained
    assert "there is no success rate" in said and "held-out loss" in said and "%" not in said
    assert not (out / "records").exists()
    (file, _) = sorted((out / "losses").rglob("mlp-s0.json"))
    data = json.loads(file.read_text())
    assert data["rollouts"] is False and "no success rate" in data["what"]
    assert [one["epoch"] for one in data["losses"]] == [2, 4]
    assert all(np.isfinite([one["train_loss"], one["valid_loss"]]).all() for one in data["losses"])
    assert data["losses"][1]["train_loss"] < data["losses"][0]["train_loss"]
    assert data["demos"]["train"] == 3 and data["demos"]["valid"] == 1 and data["demos"]["rows"] == 12
    assert "stored demonstrations of RLBench" in data["demos"]["drawn_by"][0]
    assert data["identity"]["env"]["name"] == "rlbench"
    assert file.with_suffix("").joinpath("epoch-0004.pt").exists(), "the trained policy is kept"


def test_no_table_takes_losses_for_a_success_rate(trained: tuple[Path, str]) -> None:
    out, _ = trained
    for file in (out / "losses").rglob("mlp-s0.json"):
        with pytest.raises(BadRecord, match="never played, and no success rate"):
            read(file)
    done = CliRunner().invoke(app, ["table", "1", "--cells", "--records", str(out / "losses")])
    assert "no success rate" in done.stderr and "dp3" not in done.stdout


def test_no_rollouts_refuses_what_it_cannot_do(trained: tuple[Path, str], tmp_path: Path) -> None:
    told = ["--suite", "rlbench-4", "--protocol", "clar-rlbench", "--tasks", "close-box", "--method", "dp3"]
    small = [*SMALL, *SPLIT, "protocol.epochs=4", "protocol.evaluate_every=2"]
    for flag in (["--shift", "azimuth=10"], ["--dry-run"], ["--launcher", "local"]):
        done = CliRunner().invoke(app, ["run", *told, "--no-rollouts", *flag, "--out", str(tmp_path), *small])
        assert done.exit_code == 2 and "does not go with" in done.stderr, (flag, done.output)
    done = CliRunner().invoke(app, ["run", *told, "--no-rollouts", "--out", str(tmp_path), *small])
    assert done.exit_code == 1 and "bench import" in done.stdout, done.output
    out, _ = trained
    other = [*told, "--no-rollouts", "--out", str(out), *small, "protocol.learning_rate=0.5"]
    assert CliRunner().invoke(app, ["run", *other]).exit_code == 0, "other settings have another name"


def test_a_damaged_import_is_not_collected_again(data_set: tuple[Path, list[np.ndarray]], tmp_path: Path) -> None:
    from benchmark.data.collect_demos import load_or_collect

    found = imported(data_set[0], tmp_path)
    settings = settings_of()
    asked = (tmp_path, "rlbench-4", "rlbench", "close-box", settings.of_task("close-box"), 1, None)
    request = settings.request(settings.suite.stores, None)
    assert load_or_collect(*asked, request).content_hash == found.demos.content_hash
    content = bytearray(found.path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    found.path.write_bytes(content[: len(content) * 2 // 3])
    with pytest.raises(ConfigError, match="import them again"):
        load_or_collect(*asked, request)
