"""Where the files of a LeRobotDataset v3.0 are, and which columns they have.

Source: lerobot 0.4.4, `lerobot/datasets/utils.py` and `lerobot_dataset.py`. One file of frames, and one of each camera,
holds the episodes of one task, so what is finished is kept when an export is killed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmark.system.errors import ConfigError

VERSION = "v3.0"
INFO, STATS, TASKS = "meta/info.json", "meta/stats.json", "meta/tasks.parquet"
EPISODES = "meta/episodes/chunk-000/file-000.parquet"
OWN = "meta/repbench.json"
"""Ours, which LeRobot does not read: where the demonstrations are from."""
CARD = "README.md"
DATA_PATH = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
VIDEO_PATH = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
FILES_IN_CHUNK = 1000
PICTURE = "observation.images."
STATE, ACTION = "observation.state", "action"
REWARD, SUCCESS, DONE = "next.reward", "next.success", "next.done"


@dataclass(frozen=True)
class Feature:
    """One column of the frames, or a camera. dtype: numpy's name, or `video`. names: of its entries, in order."""

    key: str
    dtype: str
    shape: tuple[int, ...]
    names: tuple[str, ...] | None = None

    @property
    def video(self) -> bool:
        return self.dtype == "video"

    def plain(self, fps: int) -> dict[str, Any]:
        """As `info.json` has it."""
        found: dict[str, Any] = {
            "dtype": self.dtype,
            "shape": list(self.shape),
            "names": list(self.names) if self.names else None,
        }
        if self.video:
            found["info"] = {
                "video.height": self.shape[0],
                "video.width": self.shape[1],
                "video.codec": "h264",
                "video.pix_fmt": "yuv420p",
                "video.is_depth_map": False,
                "video.fps": fps,
                "video.channels": 3,
                "has_audio": False,
            }
        return found


COUNTERS = (
    Feature("timestamp", "float32", (1,)),
    Feature("frame_index", "int64", (1,)),
    Feature("episode_index", "int64", (1,)),
    Feature("index", "int64", (1,)),
    Feature("task_index", "int64", (1,)),
)
"""What LeRobot's own loader asks for: `timestamp` in seconds from the episode's first frame."""


def features_of(
    proprio: Sequence[str], actions: Sequence[str], pictures: Mapping[str, tuple[int, int]]
) -> tuple[Feature, ...]:
    """pictures: (height, width) of each camera by its name."""
    return (
        *(Feature(PICTURE + name, "video", (*s, 3), ("height", "width", "channels")) for name, s in pictures.items()),
        Feature(STATE, "float32", (len(proprio),), tuple(proprio)),
        Feature(ACTION, "float32", (len(actions),), tuple(actions)),
        Feature(REWARD, "float32", (1,)),
        Feature(SUCCESS, "bool", (1,)),
        Feature(DONE, "bool", (1,)),
        *COUNTERS,
    )


def info(
    features: Sequence[Feature], fps: int, robot: str, episodes: int, frames: int, sentences: int
) -> dict[str, Any]:
    """The content of `meta/info.json`."""
    return {
        "codebase_version": VERSION,
        "robot_type": robot,
        "total_episodes": episodes,
        "total_frames": frames,
        "total_tasks": sentences,
        "chunks_size": FILES_IN_CHUNK,
        "data_files_size_in_mb": 100,
        "video_files_size_in_mb": 200,
        "fps": fps,
        "splits": {"train": f"0:{episodes}"},
        "data_path": DATA_PATH,
        "video_path": VIDEO_PATH if any(feature.video for feature in features) else None,
        "features": {feature.key: feature.plain(fps) for feature in features},
    }


def place_of(file: int) -> dict[str, int]:
    """Of the file that is number `file`, as both paths want it."""
    return {"chunk_index": file // FILES_IN_CHUNK, "file_index": file % FILES_IN_CHUNK}


def arrow() -> tuple[Any, Any]:
    """pyarrow and its Parquet. Raises `ConfigError` where it is not here."""
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise ConfigError("LeRobot's format needs pyarrow: python -m pip install 'repbench[lerobot]'") from error
    return pyarrow, parquet


def table(features: Sequence[Feature], columns: Mapping[str, np.ndarray]) -> Any:
    """The frames as a pyarrow table. columns: (rows,) of a feature of shape (1,), else (rows, n)."""
    pyarrow, _ = arrow()
    types = {"float32": pyarrow.float32(), "int64": pyarrow.int64(), "bool": pyarrow.bool_()}
    found = {}
    for feature in features:
        if feature.video:
            continue
        array = np.ascontiguousarray(columns[feature.key])
        flat = pyarrow.array(array.reshape(-1), types[feature.dtype])
        one = feature.shape == (1,)
        found[feature.key] = flat if one else pyarrow.FixedSizeListArray.from_arrays(flat, feature.shape[0])
    return pyarrow.table(found)
