"""Rollouts as videos, and the cloud that a method saw: the kept actions are played again in the simulator.

Neither weights nor torch are needed. A video shows the episode's seed and outcome as they are in the record; one whose
outcome is another now is left out and named.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.records.actions import LARGEST, BadActions, read_actions, retest_actions
from benchmark.records.record import Record, Row
from benchmark.records.replay_actions import Simulator, without_simulator
from benchmark.report.page import facts
from benchmark.system.checked_json import read_bytes
from benchmark.system.errors import ConfigError
from benchmark.system.files import StorageError, explain, write_json
from benchmark.system.progress import bar
from envs.camera_sizes import read_sizes
from envs.crop import read_crop
from envs.description import describe
from envs.pictures import each_picture
from envs.pool import EnvConfig, Pool, WorkerError
from envs.spec import ObservationRequest

Cloud = tuple[np.ndarray, np.ndarray]
"""Points (N, 3) and which of them are no padding (N,)."""

EACH = 3
"""Successes, and failures, of a cell that are shown."""
RATE = 20
"""Frames a second of a video that shows every step."""
FASTEST = 25
"""Frames a second, at most, of a video in real time."""
SHORT = 10.0
"""Seconds: an episode that cannot last so long is shown step by step, because in real time little of it is seen."""
SIZE = 224
"""Pixels of an image's edge, where the record's method sees no cloud."""
CAMERAS = 2
"""At most so many are shown side by side."""


@dataclass(frozen=True)
class Pace:
    """every: steps from one frame to the next. rate: frames a second. said: how fast that is, in words."""

    every: int
    rate: Fraction
    said: str


def pace(control_rate: float | None, horizon: int) -> Pace:
    """Real time where an episode can be long, else every step, slower than real time.

    control_rate: steps a second, None where the simulator has no constant one. horizon: steps of the longest episode.
    """
    if control_rate is None:
        return Pace(1, Fraction(RATE), f"{RATE} steps a second")
    if horizon / control_rate < SHORT:
        return Pace(1, Fraction(RATE), f"{RATE / control_rate:.2g} x real speed")
    every = math.ceil(control_rate / FASTEST)
    return Pace(every, Fraction(control_rate).limit_denominator(1000) / every, "real time")


def films_wanted(placed: facts.Placed, words: Sequence[str]) -> list[tuple[Path, Record]]:
    """Cells whose protocol/suite/task/method/head-seed holds one of the words. Raises `ConfigError` for none."""
    found: list[tuple[Path, Record]] = []
    for word in words:
        own = [
            (path, r) for path, r in placed if word in f"{r.protocol}/{r.suite}/{r.task}/{r.method}/{r.head}-s{r.seed}"
        ]
        if not own:
            raise ConfigError(
                f"--videos {word}: no cell is called so; it is a part of protocol/suite/task/method/head-s0"
            )
        found += [one for one in own if one not in found]
    return found


def film(cells: facts.Placed, folder: Path, simulators: Sequence[str] = (), python: str | None = None) -> list[str]:
    """Videos under `folder` of the cells that have none yet. Those of which none can be made are named.

    simulators: those in files, `path/to/file.py:Class`, that may be run. python: the interpreter that holds the
    simulator, None for this one.
    """
    with_ = Simulator(1, python, files=tuple(simulators))
    left: list[str] = []
    if cells:
        _encoder()
    with bar("videos", len(cells)) as advance:
        for path, record in cells:
            if "pace" not in (filmed(record, path, folder) or {}):  # earlier versions knew one speed
                try:
                    write_json(folder / f"{facts.slug(record)}.json", _film(record, path, folder, with_))
                except StorageError:
                    raise  # the pages would meet the same disk
                except (WorkerError, OSError, KeyError, ValueError, ImportError, zipfile.BadZipFile) as error:
                    left.append(f"no video of {record.task}/{record.method}: {error}")
            advance()
    return left


def filmed(record: Record, path: Path, folder: Path) -> dict[str, Any] | None:
    """What an earlier call made of these very actions: what the cell's page shows of it; None if it did not."""
    try:
        kept = json.loads((folder / f"{facts.slug(record)}.json").read_text())
        whole = kept["actions"] == _fingerprint(path) and all((folder / one["file"]).exists() for one in kept["films"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return kept if whole else None


def _fingerprint(path: Path) -> str:
    return hashlib.sha256(read_bytes(retest_actions(path), LARGEST)).hexdigest()


def _film(record: Record, path: Path, folder: Path, with_: Simulator) -> dict[str, Any]:
    env, name = record.env, facts.slug(record)
    if missing := without_simulator(record, with_):
        raise ValueError(missing)
    try:
        kept = read_actions(retest_actions(path), record.longest)
    except BadActions as error:
        raise ValueError(f"{retest_actions(path).name}: {error}") from error
    actions = {int(seed): played for seed, played in kept.items()}
    films: list[dict[str, str]] = []
    clouds: list[dict[str, Any]] = []
    odd: list[str] = []
    with explain(folder):
        folder.mkdir(parents=True, exist_ok=True)
    shown = pace(describe(env, with_.python).control_rate, record.horizon)
    to_the_end = record.success_rule == "last-step"
    with Pool(EnvConfig(env, record.task, seen_by(record, with_.python), with_.python), 1) as pool:
        for seed, won, steps, _ in chosen([row for row in record.retest.episodes if row[0] in actions]):
            frames, views, flags = replayed(pool, seed, actions[seed], shown.every)
            word = "success" if won else "failure"
            if (flags[-1] if to_the_end else any(flags)) != bool(won):
                odd.append(f"seed {seed}: a {word} in the record, and not when its actions are played here")
                continue
            file = f"{name}-{seed}.mp4"
            with explain(folder / file):
                write_video(folder / file, frames, shown.rate)
            films.append({"file": file, "label": f"{word}, seed {seed}, {steps} steps, {shown.said}"})
            if views and not clouds:
                middle = len(views) // 2
                clouds += [packed(*views[n], f"seed {seed}, step {n * shown.every}") for n in (0, middle)]
    made = {"actions": _fingerprint(path), "pace": shown.said}
    return {**made, "films": films, "clouds": clouds, "note": "; ".join(odd)}


def chosen(episodes: Sequence[Row]) -> list[Row]:
    """The first successes and the first failures that could be run."""
    played = [row for row in episodes if row[3] is None and row[2] > 0]
    return [row for won in (1, 0) for row in [row for row in played if row[1] == won][:EACH]]


def seen_by(record: Record, python: str | None = None) -> ObservationRequest:
    """Pictures of the record's cameras, and the cloud where its method looks at one: the cameras then have the sizes
    that they had, which the cloud depends on.
    """
    observed = dict(record.identity["observation"])
    cameras = tuple(observed.get("cameras") or describe(record.env, python).cameras[:CAMERAS])
    fields: tuple[str, ...] = ("rgb", "proprio")
    options: dict[str, Any] = {"height": SIZE, "width": SIZE}
    if "points" in observed["fields"]:
        fields += ("points", "points_valid")
        options = {name: observed[name] for name in ("height", "width", "num_points", "sampler")}
        options |= {"crop": read_crop(observed["crop"]), "sizes": read_sizes(observed.get("sizes"))}
    return ObservationRequest(fields, cameras, render="fast", **options)


def replayed(
    pool: Pool, seed: int, actions: np.ndarray, every: int = 1
) -> tuple[list[np.ndarray], list[Cloud], list[bool]]:
    """Pictures (H, W, 3) and clouds at the start, after each `every`-th action (A,) and after the last; and success
    flags: with `every` above 1 those of steps without an image are there only where they are True.
    """
    (worker,) = pool.workers
    frames: list[np.ndarray] = []
    views: list[Cloud] = []
    flags: list[bool] = []

    def look() -> None:
        frames.append(side_by_side(each_picture("rgb", worker.observation)))
        if "points" in worker.observation:
            views.append((worker.observation["points"].copy(), worker.observation["points_valid"].copy()))

    worker.ask("reset", seed)
    worker.answer()
    look()
    at = 0
    while at < len(actions):
        ahead = actions[at : at + every - at % every]
        worker.ask("steps", ahead, True)  # stops at a success, whose flag would else be that of the last step
        _, success, _, played = worker.answer()
        flags.append(bool(success))
        at += played
        if played == len(ahead):  # else the simulator drew nothing
            look()
    return frames, views, flags


def side_by_side(pictures: Sequence[np.ndarray]) -> np.ndarray:
    """The first cameras' images (H, W, 3) from left to right; those of another height than the first's are left out.

    Returns a copy (H, W, 3): the images may be a worker's memory.
    """
    first = pictures[0]
    return np.concatenate([one for one in pictures[:CAMERAS] if one.shape[0] == first.shape[0]], axis=1)


def write_video(path: Path, frames: Sequence[np.ndarray], rate: Fraction = Fraction(RATE)) -> None:
    """H.264, which browsers play; its sides are even, so the last row or column of others is left out. The last frame
    is held for a second. rate: frames a second.
    """
    av = _encoder()
    height, width = (max(2, edge - edge % 2) for edge in frames[0].shape[:2])
    with av.open(str(path), "w", format="mp4", options={"movflags": "faststart"}) as file:
        stream = file.add_stream("libx264", rate=rate)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.options = {"crf": "26", "preset": "veryfast"}
        for picture in [*frames, *[frames[-1]] * round(rate)]:
            even = np.ascontiguousarray(picture[:height, :width])
            for packet in stream.encode(av.VideoFrame.from_ndarray(even, format="rgb24")):
                file.mux(packet)
        for packet in stream.encode():
            file.mux(packet)


def packed(points: np.ndarray, valid: np.ndarray, label: str) -> dict[str, Any]:
    """A cloud (N, 3) in 6 bytes a point: uint16 over the range of each axis."""
    kept = points[valid]
    low, high = kept.min(0), kept.max(0)
    scaled = (kept - low) / np.where(high > low, high - low, 1)
    raw = np.round(65535 * scaled).astype("<u2")
    said = f"the cloud that the method saw, {label}; robot frame, colour is height"
    return {
        "points": base64.b64encode(raw.tobytes()).decode(),
        "low": low.astype(float).tolist(),
        "high": high.astype(float).tolist(),
        "label": said,
    }


def _encoder() -> Any:
    try:
        import av
    except ImportError as error:
        raise ConfigError("--videos needs PyAV: python -m pip install 'repbench[report]' (or av==18.1.0)") from error
    return av
