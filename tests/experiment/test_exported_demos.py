"""Demonstrations as a LeRobotDataset: what is read back is what was recorded."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from benchmark.cli.main import app
from benchmark.data.collect_demos import load_or_collect
from benchmark.data.demos import Demos
from benchmark.data.lerobot import part as parts
from benchmark.data.lerobot.dataset import NotADataset, read_dataset
from benchmark.data.lerobot.frames import rows_of, timing
from benchmark.data.lerobot.statistics import Levels, of_rows
from benchmark.experiment.exported_demos import export_demos
from benchmark.records.paths import Paths
from benchmark.settings.settings import Settings
from benchmark.settings.suite import Suite
from benchmark.system.errors import ConfigError
from envs.pool import EnvConfig, Pool

TIMED = f"{Path(__file__).parents[1] / 'toy_cameras.py'}:Timed"
TASKS = ("near", "far")
CAMERAS = ("front", "hand")
EVERY = 2
MISSING = [name for name in ("pyarrow", "av") if importlib.util.find_spec(name) is None]
needs_packages = pytest.mark.skipif(
    bool(MISSING), reason=f"no {' and '.join(MISSING)}: pip install 'repbench[lerobot]'"
)


@pytest.fixture(scope="module")
def settings(toy_settings_once: Settings) -> Settings:
    suite = Suite("seeing", "", TIMED, "", {"easy": TASKS}, {"cameras": CAMERAS, "height": 32, "width": 48})
    small = dataclasses.replace(toy_settings_once.protocol, train_demos=2, valid_demos=1, horizon=51)
    one = dataclasses.replace(toy_settings_once.runtime, workers=1)
    return dataclasses.replace(toy_settings_once, suite=suite, protocol=small, runtime=one)


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> Paths:
    out = tmp_path_factory.mktemp("out")
    return Paths(out, out / "data")


@pytest.fixture(scope="module")
def exported(settings: Settings, paths: Paths) -> Path:
    """At 10 of the simulator's 20 steps a second."""
    return export_demos(settings, TASKS, paths, paths.out / "set", 10).folder


@pytest.fixture(scope="module")
def recorded(settings: Settings, paths: Paths) -> list[Demos]:
    return [load_or_collect(paths.data, "seeing", TIMED, task, settings.of_task(task), 1) for task in TASKS]


def read(folder: Path, pattern: str) -> list[dict[str, Any]]:
    from pyarrow import parquet

    return [row for file in sorted(folder.glob(pattern)) for row in parquet.read_table(file).to_pylist()]


@needs_packages
def test_rows_are_the_recorded_ones(exported: Path, recorded: list[Demos]) -> None:
    rows = read(exported, "data/*/*.parquet")
    column = {key: np.array([row[key] for row in rows]) for key in rows[0]}
    for key, name in (("observation.state", "proprio"), ("action", "actions")):
        wanted = np.concatenate([one[::EVERY] for demos in recorded for one in demos.of_each(name)])
        np.testing.assert_array_equal(column[key].astype(np.float32), wanted)
    sums = [
        one[i : i + EVERY].sum() for demos in recorded for one in demos.of_each("rewards") for i in range(0, 51, EVERY)
    ]
    np.testing.assert_allclose(column["next.reward"], sums, rtol=1e-6)
    reached = [
        one[i : i + EVERY].any() for demos in recorded for one in demos.of_each("success") for i in range(0, 51, EVERY)
    ]
    assert column["next.success"].tolist() == reached and any(reached) and not all(reached)
    assert column["index"].tolist() == list(range(6 * 26))
    assert column["frame_index"].tolist() == [*range(26)] * 6
    np.testing.assert_allclose(column["timestamp"], column["frame_index"] / 10, rtol=1e-6)
    assert column["next.done"].nonzero()[0].tolist() == [25, 51, 77, 103, 129, 155]


@needs_packages
def test_what_is_said_of_them(exported: Path, recorded: list[Demos]) -> None:
    info = json.loads((exported / "meta/info.json").read_text())
    assert (info["codebase_version"], info["fps"], info["total_episodes"], info["total_frames"]) == ("v3.0", 10, 6, 156)
    assert info["features"]["action"] == {"dtype": "float32", "shape": [2], "names": ["dx", "dy"]}
    assert info["features"]["observation.images.hand"]["shape"] == [32, 48, 3]
    own = json.loads((exported / "meta/repbench.json").read_text())
    assert own["every"] == EVERY and "20 steps a second" in own["frames"]
    assert [own["tasks"][task]["sha256"] for task in TASKS] == [demos.content_hash for demos in recorded]
    episodes = read(exported, "meta/episodes/*/*.parquet")
    assert [row["tasks"] for row in episodes] == [[f"move to the {task} goal"] for task in TASKS for _ in range(3)]
    assert [row["repbench/seed"] for row in episodes] == [seed for demos in recorded for seed in demos.seeds]
    assert [row["repbench/split"] for row in episodes] == ["train", "train", "valid"] * 2


@needs_packages
def test_statistics_are_those_of_the_values(exported: Path, recorded: list[Demos]) -> None:
    actions = [one[::EVERY].astype(np.float64) for demos in recorded for one in demos.of_each("actions")]
    episodes = read(exported, "meta/episodes/*/*.parquet")
    np.testing.assert_allclose(episodes[4]["stats/action/mean"], actions[4].mean(0))
    whole = json.loads((exported / "meta/stats.json").read_text())
    np.testing.assert_allclose(whole["action"]["std"], np.concatenate(actions).std(0))
    assert whole["action"]["count"] == [156] and whole["observation.images.front"]["count"] == [156]
    seen = np.array([row["stats/observation.images.front/mean"] for row in episodes])
    np.testing.assert_allclose(np.array(whole["observation.images.front"]["mean"]), seen.mean(0))


def test_statistics_of_pictures() -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (5, 6, 8, 3), dtype=np.uint8)
    levels = Levels()
    for picture in pictures:
        levels.add(picture)
    found, values = levels.statistics(), pictures.reshape(-1, 3) / 255
    expected = of_rows(values)
    for name in ("min", "max", "mean", "std"):
        np.testing.assert_allclose(np.array(found[name]).ravel(), expected[name])
    middle = np.quantile(values, 0.5, axis=0, method="inverted_cdf")
    np.testing.assert_allclose(np.array(found["q50"]).ravel(), middle)
    assert np.array(found["q99"]).shape == (3, 1, 1) and found["count"] == [5]


@needs_packages
def test_videos_show_what_was_seen(exported: Path, settings: Settings, recorded: list[Demos]) -> None:
    import av

    request = settings.request(("rgb",), None)
    for row in (read(exported, "meta/episodes/*/*.parquet")[number] for number in (1, 5)):
        demos, number = recorded[row["episode_index"] // 3], row["episode_index"] % 3
        span = demos.episodes.span(number)
        with Pool(EnvConfig(TIMED, demos.task, request), 1) as pool:
            ((_, fields),) = pool.map("render_states", [(demos.seeds[number], demos.arrays["states"][span])])
        for camera, name in enumerate(CAMERAS):
            key = f"videos/observation.images.{name}"
            file = exported / key / f"chunk-000/file-{row[f'{key}/file_index']:03d}.mp4"
            first = round(row[f"{key}/from_timestamp"] * 10)
            with av.open(str(file)) as video:
                frames = [(float(one.time), one.to_ndarray(format="rgb24")) for one in video.decode(video=0)]
            np.testing.assert_allclose([time for time, _ in frames], np.arange(78) / 10, atol=1e-6)
            shown = np.stack([frame for _, frame in frames[first : first + 26]]).astype(int)
            assert np.abs(shown - fields["rgb"][::EVERY, camera]).mean() < 6


@needs_packages
@pytest.mark.skipif(importlib.util.find_spec("lerobot") is None, reason="lerobot is not installed")
def test_lerobot_loads_it(exported: Path, recorded: list[Demos]) -> None:
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

    found = LeRobotDataset("repbench/seeing", root=exported, delta_timestamps={"action": [0.0, 0.1, 0.2]})
    assert (found.num_episodes, found.num_frames, found.fps) == (6, 156, 10)
    assert found.meta.camera_keys == ["observation.images.front", "observation.images.hand"]
    actions = recorded[1].of_each("actions")[0][::EVERY]
    np.testing.assert_array_equal(np.stack(found.hf_dataset[3 * 26 : 4 * 26]["action"]), actions)
    np.testing.assert_allclose(
        found.meta.stats["action"]["max"],
        np.concatenate([one[::EVERY] for demos in recorded for one in demos.of_each("actions")]).max(0),
    )
    try:
        item = found[3 * 26 + 24]
    except (ImportError, OSError, RuntimeError) as error:
        pytest.skip(f"lerobot reads its tables, and its video decoder does not load here: {error}")
    np.testing.assert_array_equal(item["action"], actions[[24, 25, 25]])
    assert item["action_is_pad"].tolist() == [False, False, True] and item["task"] == "move to the far goal"
    assert item["observation.images.hand"].shape == (3, 32, 48)


@needs_packages
def test_a_stopped_export_leaves_no_folder_and_goes_on(
    settings: Settings, paths: Paths, exported: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    target, write = paths.out / "stopped", parts.write

    def stop(part: Any, folder: Path, pictures: Any) -> Any:
        if part.demos.task == "far":
            next(pictures)
            raise KeyboardInterrupt
        return write(part, folder, pictures)

    monkeypatch.setattr(parts, "write", stop)
    with pytest.raises(KeyboardInterrupt):
        export_demos(settings, TASKS, paths, target, 10)
    assert not target.exists()
    monkeypatch.setattr(parts, "write", write)
    video = paths.out / ".stopped.unfinished/videos/observation.images.hand/chunk-000/file-000.mp4"
    before = video.stat().st_mtime_ns
    export_demos(settings, TASKS, paths, target, 10)
    assert "near was exported already" in capsys.readouterr().err
    assert (target / video.relative_to(video.parents[3])).stat().st_mtime_ns == before
    names = [sorted(str(file.relative_to(at)) for file in at.rglob("*")) for at in (target, exported)]
    assert names[0] == names[1] and not video.parents[3].exists()
    for name in ("meta/info.json", "meta/stats.json", "meta/repbench.json"):
        assert (target / name).read_bytes() == (exported / name).read_bytes()
    assert read(target, "data/*/*.parquet") == read(exported, "data/*/*.parquet")


@needs_packages
def test_what_another_export_left_there_is_no_part_of_it(settings: Settings, paths: Paths) -> None:
    for name in ("data/chunk-000/file-001.parquet", "videos/observation.images.old/chunk-000/file-000.mp4"):
        old = paths.out / ".left.unfinished" / name
        old.parent.mkdir(parents=True, exist_ok=True)
        old.write_bytes(b"old")
    folder = export_demos(settings, ["near"], paths, paths.out / "left", 10).folder
    assert [file.name for file in folder.glob("data/*/*")] == ["file-000.parquet"]
    assert sorted(path.name for path in (folder / "videos").iterdir()) == [f"observation.images.{n}" for n in CAMERAS]


@needs_packages
def test_a_demonstration_with_nan_is_named(recorded: list[Demos]) -> None:
    rewards = recorded[0].arrays["rewards"].copy()
    rewards[60] = np.nan
    odd = dataclasses.replace(recorded[0], arrays={**recorded[0].arrays, "rewards": rewards})
    assert len(rows_of(odd, 0, EVERY)["action"]) == 26
    with pytest.raises(ConfigError, match="rewards of demonstration 1 of near"):
        rows_of(odd, 1, EVERY)


@needs_packages
@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda at: (at / "meta/info.json").unlink(), "no LeRobot data set: meta/info.json"),
        (lambda at: (at / "meta/info.json").write_text('{"codebase_version": "v2.1"}'), "version 'v2.1'"),
        (lambda at: next(at.glob("videos/*/*/file-001.mp4")).unlink(), "file-001.mp4 is missing"),
        (lambda at: next(at.glob("data/*/file-001.parquet")).write_bytes(b"PAR1"), "a table cannot be read"),
        (lambda at: (at / "meta/tasks.parquet").unlink(), "a table cannot be read"),
        (
            lambda at: (at / "data/chunk-000/file-009.parquet").write_bytes(b""),
            "file-009.parquet belongs to no episode",
        ),
    ],
    ids=["no info", "older", "no video", "damaged rows", "no tasks", "more rows"],
)
def test_half_a_data_set_is_none(exported: Path, tmp_path: Path, damage: Any, said: str) -> None:
    import shutil

    shutil.copytree(exported, tmp_path / "set")
    assert read_dataset(tmp_path / "set").frames == 156
    damage(tmp_path / "set")
    with pytest.raises(NotADataset, match=said):
        read_dataset(tmp_path / "set")


@needs_packages
def test_without_pictures_there_are_no_videos(toy_settings: Settings, paths: Paths) -> None:
    small = dataclasses.replace(toy_settings.protocol, train_demos=1, valid_demos=0)
    done = export_demos(dataclasses.replace(toy_settings, protocol=small), ["near"], paths, paths.out / "blind", 1)
    assert "no images" in done.left_out and read_dataset(done.folder).frames == 60
    assert not (done.folder / "videos").exists()


@needs_packages
def test_pictures_that_were_stored_are_taken(settings: Settings, paths: Paths) -> None:
    """Of a simulator that restores no state; nothing is drawn again."""
    import av

    suite = dataclasses.replace(settings.suite, env=TIMED.replace(":Timed", ":TimedForgetful"), stores=("rgb",))
    folder = export_demos(dataclasses.replace(settings, suite=suite), ["near"], paths, paths.out / "stored", 10).folder
    request = settings.request(("rgb",), None)
    demos = load_or_collect(paths.data, "seeing", suite.env, "near", settings.of_task("near"), 1, None, request)
    assert demos.sensors is not None
    seen = np.concatenate([demos.sensors.read(number)["rgb"][::EVERY, 1] for number in range(3)])
    (file,) = (folder / "videos/observation.images.hand").rglob("*.mp4")
    with av.open(str(file)) as video:
        shown = np.stack([one.to_ndarray(format="rgb24") for one in video.decode(video=0)]).astype(int)
    assert shown.shape == seen.shape and np.abs(shown - seen).mean() < 6


def test_frame_rates() -> None:
    assert timing(50, None, "aloha").every == 1 and timing(50.0, 10, "aloha").every == 5
    with pytest.raises(ConfigError, match=r"--frame-rate 15 does not divide .* give 1, 2, 5, 10, 25, 50"):
        timing(50, 15, "aloha")
    with pytest.raises(ConfigError, match="--frame-rate 1"):
        timing(None, None, "rlbench4-port")
    for odd in (0, -50, 12.5, float("nan"), "50"):
        with pytest.raises(ConfigError, match="control_rate"):
            timing(odd, None, "mine")  # type: ignore[arg-type]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["demos"], "--to FOLDER"),
        (["demos", "--to", ".", "--tasks", "reach"], "is there already"),
        (["demos", "--to", "new", "--tasks", "reech"], "did you mean 'reach'"),
        (["demos", "--to", "new", "--tasks", "reach", "--frame-rate", "7"], "does not divide"),
        (["demos", "--to", "new", "--format", "csv"], "--format lerobot"),
        (["demos", "--to", "new", "--weights", "random"], "--weights is for"),
        (["--format", "lerobot"], "bench export demos"),
        (["--frame-rate", "5"], "--frame-rate is for"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, list) else "",
)
def test_bad_input_is_one_line(words: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["export", *words])
    assert done.exit_code == 2
    assert said.lower() in done.stderr.lower() and len(done.stderr.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_without_the_packages_one_line_says_how_to_have_them(
    settings: Settings, paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ConfigError, match=r"repbench\[lerobot\]"):
        export_demos(settings, TASKS, paths, paths.out / "none", 10)
    assert not (paths.out / "none").exists()


@needs_packages
def test_odd_pictures_are_refused(settings: Settings, paths: Paths) -> None:
    odd = dataclasses.replace(settings.suite, observation={"cameras": ("front",), "height": 31, "width": 48})
    with pytest.raises(ConfigError, match=r"31 x 48 .*suite.observation.height"):
        export_demos(dataclasses.replace(settings, suite=odd), TASKS, paths, paths.out / "odd", 10)
    assert not list(paths.out.glob("*odd*"))
