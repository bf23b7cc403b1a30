"""The episodes of one task in a data set that is being written: a file of frames, a video of each camera, and a note.

The note is written last. Where it is there, and says the same of where the episodes are from and where they come in the
data set, the part is whole and is not written again.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.data.demos import Demos
from benchmark.data.lerobot.frames import Timing, frame_steps, rows_of
from benchmark.data.lerobot.layout import DATA_PATH, PICTURE, VIDEO_PATH, Feature, arrow, place_of, table
from benchmark.data.lerobot.statistics import Levels, flat, of_rows, sampled
from benchmark.data.lerobot.video import Video
from benchmark.system.checked_json import NotPlain, read_json
from benchmark.system.digest import digest
from benchmark.system.files import discard, write_atomically, write_json
from benchmark.system.progress import bar

NOTES = "parts"
"""A folder of the unfinished data set, which the finished one does not have."""


@dataclass(frozen=True)
class Part:
    """number: of its files. episode, frame: of its first in the data set. sentences: the task of each episode, as a
    number. timing, features: of the data set. origin: what else its content depends on.
    """

    demos: Demos
    number: int
    episode: int
    frame: int
    sentences: Sequence[int]
    timing: Timing
    features: Sequence[Feature]
    origin: dict[str, Any]

    @property
    def lengths(self) -> list[int]:
        """Frames of each episode."""
        return [len(frame_steps(length, self.timing.every)) for length in self.demos.episodes.lengths]

    @property
    def cameras(self) -> list[Feature]:
        return [feature for feature in self.features if feature.video]

    @property
    def key(self) -> str:
        """A hash of all that is in its files."""
        of_features = [feature.plain(self.timing.fps) for feature in self.features]
        place = [self.number, self.episode, self.frame, list(self.sentences), self.timing.every]
        return digest([self.demos.content_hash, place, of_features, self.origin])

    def video(self, folder: Path, camera: Feature) -> Path:
        return folder / VIDEO_PATH.format(video_key=camera.key, **place_of(self.number))

    def data(self, folder: Path) -> Path:
        return folder / DATA_PATH.format(**place_of(self.number))


def finished(part: Part, folder: Path) -> dict[str, Any] | None:
    """What the part's note says; None where it is not there, or is of other episodes."""
    try:
        note = read_json(_note(part, folder))
        files = [part.data(folder), *(part.video(folder, camera) for camera in part.cameras)]
        sizes = [file.stat().st_size for file in files]
        return note if note["key"] == part.key and note["bytes"] == sizes else None
    except (NotPlain, OSError, KeyError, TypeError):
        return None


def write(part: Part, folder: Path, images: Iterator[Sequence[np.ndarray]]) -> dict[str, Any]:
    """Write the part's files and its note, and return what that says.

    images: of each frame of each episode in order, one (H, W, 3) uint8 of each camera.
    """
    discard(_note(part, folder))
    rows, frame = [], part.frame
    statistics: list[dict[str, Any]] = []
    levels = [Levels() for _ in part.cameras]
    with ExitStack() as stack, bar(f"export {part.demos.task}", len(part.lengths)) as advance:
        videos = [
            stack.enter_context(Video(part.video(folder, one), part.timing.fps, *one.shape[:2])) for one in part.cameras
        ]
        for number, length in enumerate(part.lengths):
            rows.append(_columns(part, number, length, frame))
            own = [Levels() for _ in part.cameras]
            _film(videos, own, images, length)
            of_images = {camera.key: one.statistics() for camera, one in zip(part.cameras, own, strict=True)}
            statistics.append(of_images | {key: of_rows(column) for key, column in rows[-1].items()})
            levels = [whole + one for whole, one in zip(levels, own, strict=True)]
            frame += length
            advance()
    columns = {key: np.concatenate([one[key] for one in rows]) for key in rows[0]}
    buffer = io.BytesIO()
    arrow()[1].write_table(table(part.features, columns), buffer, compression="snappy")
    write_atomically(part.data(folder), lambda file: file.write(buffer.getbuffer()))
    files = [part.data(folder), *(part.video(folder, camera) for camera in part.cameras)]
    note = {
        "key": part.key,
        "bytes": [file.stat().st_size for file in files],
        "episodes": list(_episodes(part, statistics)),
        "levels": {camera.key: one.plain() for camera, one in zip(part.cameras, levels, strict=True)},
    }
    write_json(_note(part, folder), note)
    return note


def _film(videos: list[Video], levels: list[Levels], images: Iterator[Sequence[np.ndarray]], length: int) -> None:
    """One episode; nothing is drawn where there are no cameras."""
    looked_at = sampled(length) if videos else set()
    for frame in range(length if videos else 0):
        for video, level, image in zip(videos, levels, next(images), strict=True):
            video.add(image)
            if frame in looked_at:
                level.add(image)


def _note(part: Part, folder: Path) -> Path:
    return folder / NOTES / f"{part.number:04d}.json"


def _columns(part: Part, number: int, length: int, first: int) -> dict[str, np.ndarray]:
    frames = np.arange(length)
    return rows_of(part.demos, number, part.timing.every) | {
        "timestamp": (frames / part.timing.fps).astype(np.float32),
        "frame_index": frames,
        "episode_index": np.full(length, part.episode + number),
        "index": first + frames,
        "task_index": np.full(length, part.sentences[number]),
    }


def _episodes(part: Part, statistics: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Rows of the table of episodes, but for the sentences, which are numbers here."""
    start, before = part.frame, 0
    for number, length in enumerate(part.lengths):
        row: dict[str, Any] = {
            "episode_index": part.episode + number,
            "length": length,
            **{f"data/{name}": value for name, value in place_of(part.number).items()},
            "dataset_from_index": start,
            "dataset_to_index": start + length,
        }
        for camera in part.cameras:
            assert camera.key.startswith(PICTURE)
            row |= {f"videos/{camera.key}/{name}": value for name, value in place_of(part.number).items()}
            row[f"videos/{camera.key}/from_timestamp"] = before / part.timing.fps
            row[f"videos/{camera.key}/to_timestamp"] = (before + length) / part.timing.fps
        row |= {
            "repbench/task": part.demos.task,
            "repbench/seed": part.demos.seeds[number],
            "repbench/split": "train" if number < part.demos.train else "valid",
        }
        yield row | flat(statistics[number])
        start, before = start + length, before + length
