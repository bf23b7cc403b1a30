"""Whether a folder is a whole LeRobotDataset v3.0. Nothing in it is believed, and nothing is run."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.data.lerobot import layout
from benchmark.data.lerobot.video import frames_in
from benchmark.system.checked_json import NotPlain, read_json
from benchmark.system.printable import one_line
from envs.errors import UserError

TOTALS = ("total_episodes", "total_frames", "total_tasks", "fps")


class NotADataset(UserError, ValueError):
    """A folder that is no LeRobotDataset v3.0, or half of one."""


@dataclass(frozen=True)
class Dataset:
    """features: as in `info.json`."""

    folder: Path
    episodes: int
    frames: int
    fps: int
    features: Mapping[str, Any]


def read_dataset(folder: Path) -> Dataset:
    """Raises `NotADataset` with what is wrong: no info, tables that contradict it, a file or an image that is missing.

    Images are counted where PyAV is here. Raises `ConfigError` where pyarrow is not.
    """
    layout.arrow()
    info = _info(folder)
    try:
        wrong = next(_wrong(folder, info), None)
    except Exception as error:  # a damaged table raises whatever its bytes happen to mean
        wrong = f"a table cannot be read ({type(error).__name__}: {error})"
    if wrong:
        raise NotADataset(f"{folder} is no whole LeRobot data set: {one_line(wrong)}")
    return Dataset(folder, info["total_episodes"], info["total_frames"], info["fps"], info["features"])


def _info(folder: Path) -> dict[str, Any]:
    if not folder.is_dir():
        raise NotADataset(f"{folder} is no folder; `bench export demos --format lerobot --to FOLDER` writes a data set")
    try:
        info = read_json(folder / layout.INFO)
    except NotPlain as error:
        raise NotADataset(f"{folder} is no LeRobot data set: {layout.INFO}: {error}") from error
    version = info.get("codebase_version") if isinstance(info, dict) else None
    if version != layout.VERSION:
        raise NotADataset(
            f"{folder} has version {version!r:.20} of LeRobot's format, and this reads {layout.VERSION}; lerobot "
            "converts older ones (lerobot.datasets.v30)"
        )
    odd = [name for name in TOTALS if type(info.get(name)) is not int or info[name] < 1]
    if odd or not isinstance(info.get("features"), dict):
        raise NotADataset(f"{folder}: {layout.INFO} has no {odd[0] if odd else 'features'}")
    return info


def _wrong(folder: Path, info: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong, in sentences."""
    _, parquet = layout.arrow()
    for name, known in (("data_path", layout.DATA_PATH), ("video_path", layout.VIDEO_PATH)):
        if info.get(name) not in (known, None):
            yield f"{name} is not LeRobot's own"
    if (tasks := parquet.read_metadata(folder / layout.TASKS).num_rows) != info["total_tasks"]:
        yield f"{layout.TASKS} has {tasks} tasks, and {layout.INFO} says {info['total_tasks']}"
    episodes = [row for file in sorted(folder.glob("meta/episodes/*/*.parquet")) for row in _rows(file)]
    if [row["episode_index"] for row in episodes] != list(range(info["total_episodes"])):
        yield f"meta/episodes has {len(episodes)} episodes, and {layout.INFO} says {info['total_episodes']}"
    ends = [0, *(row["dataset_to_index"] for row in episodes)]
    if [row["dataset_from_index"] for row in episodes] != ends[:-1] or ends[-1] != info["total_frames"]:
        yield f"its episodes are not the {info['total_frames']} frames that {layout.INFO} says"
    files = {_path(folder, layout.DATA_PATH, row, "data") for row in episodes}
    if strange := sorted(set(folder.glob("data/*/*.parquet")) - files):  # lerobot would read it
        yield f"{strange[0].relative_to(folder)} belongs to no episode"
    if (rows := sum(parquet.read_metadata(file).num_rows for file in files)) != info["total_frames"]:
        yield f"data has {rows} frames, and {layout.INFO} says {info['total_frames']}"
    for key, feature in info["features"].items():
        if feature["dtype"] == "video":
            yield from _wrong_videos(folder, info["fps"], key, episodes)


def _rows(file: Path) -> list[dict[str, Any]]:
    """Of the table of episodes, without their statistics."""
    _, parquet = layout.arrow()
    table = parquet.ParquetFile(file)
    wanted = [name for name in table.schema_arrow.names if not name.startswith("stats/")]
    found: list[dict[str, Any]] = table.read(columns=wanted).to_pylist()
    return found


def _path(folder: Path, template: str, row: Mapping[str, Any], of: str, key: str = "") -> Path:
    numbers = {name: int(row[f"{of}/{name}"]) for name in ("chunk_index", "file_index")}
    return folder / template.format(video_key=key, **numbers)


def _wrong_videos(folder: Path, fps: int, key: str, episodes: list[dict[str, Any]]) -> Iterator[str]:
    if "/" in key or key in (".", ".."):
        yield f"the camera {key!r} has a name that leaves its folder"
        return
    ends: dict[Path, float] = {}
    for row in episodes:
        file = _path(folder, layout.VIDEO_PATH, row, f"videos/{key}", key)
        ends[file] = max(ends.get(file, 0.0), float(row[f"videos/{key}/to_timestamp"]))
    for file, end in ends.items():
        if not file.is_file():
            yield f"{file.relative_to(folder)} is missing"
        elif importlib.util.find_spec("av") is not None and (there := frames_in(file)) < round(end * fps):
            yield f"{file.relative_to(folder)} has {there} images, and its episodes have {round(end * fps)}"
