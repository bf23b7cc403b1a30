"""Frames of recordings with calibrated cameras, in a layout that anything can be exported to: RH20T, or your own robot.

ROOT/TRAJECTORY/meta.json              {"task": "pour", "instruction": "pour the water", "licence": "CC-BY-4.0"}
ROOT/TRAJECTORY/tcp.npy                (T, 3) float, the gripper's place in the robot's frame, metres; may be absent
ROOT/TRAJECTORY/CAMERA/camera.json     {"intrinsics": 3x3, "robot_from_camera": 4x4 or T of them, "depth_unit": 0.001}
ROOT/TRAJECTORY/CAMERA/color/000000.png, ...  (or .jpg)   and depth/000000.png, ... of 16 bits; 0 is no measurement

Axes are OpenCV's, pixel centres lie at half-integers. A calibration that is the wrong way round gives clouds that look
like clouds: where the gripper's place is known, it has to be in the pictures and not behind what they show.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmark.errors import ConfigError
from benchmark.pretrain.conversion import Moment, View, convert
from benchmark.pretrain.data_config import DataConfig
from benchmark.pretrain.frames import Shard
from envs import camera
from envs.spec import Crop

FORMAT = 1
CHECKED = 12
"""Moments of a trajectory at which the gripper is looked for."""
SLACK = 0.15
"""Metres that the gripper's tip may seem to lie behind the surface that is seen there: fingers have a size."""
ENOUGH = 0.5


class Recording:
    """One trajectory on disk. Raises `ConfigError` naming the file for what is not as the layout says."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.meta = _json(folder / "meta.json")
        for name in ("task", "instruction", "licence"):
            if not isinstance(self.meta.get(name), str) or not self.meta[name]:
                raise ConfigError(f"{folder / 'meta.json'} has no {name}")
        self.cameras = sorted(path.parent.name for path in folder.glob("*/camera.json"))
        if not self.cameras:
            raise ConfigError(f"{folder} has no CAMERA/camera.json")

    @cached_property
    def steps(self) -> int:
        counts = {name: len(list((self.folder / name / "depth").glob("*.png"))) for name in self.cameras}
        if len(set(counts.values())) > 1 or not min(counts.values()):
            raise ConfigError(f"{self.folder}: cameras have {counts} pictures of depth; all need equally many")
        return min(counts.values())

    @cached_property
    def calibrations(self) -> dict[str, tuple[np.ndarray, np.ndarray, float]]:
        """Camera -> intrinsics (3, 3), robot_from_camera (T, 4, 4), metres of one unit of depth."""
        return {name: self._calibration(self.folder / name / "camera.json") for name in self.cameras}

    def _calibration(self, file: Path) -> tuple[np.ndarray, np.ndarray, float]:
        data = _json(file)
        try:
            intrinsics = np.array(data["intrinsics"], np.float64)
            poses = np.array(data["robot_from_camera"], np.float64)
            unit = float(data["depth_unit"])
        except (KeyError, TypeError, ValueError) as error:
            raise ConfigError(f"{file}: {type(error).__name__}: {error}") from error
        poses = np.broadcast_to(poses, (self.steps, 4, 4)) if poses.shape == (4, 4) else poses
        if intrinsics.shape != (3, 3) or poses.shape != (self.steps, 4, 4):
            raise ConfigError(f"{file}: intrinsics are 3 x 3, robot_from_camera 4 x 4, or {self.steps} of them")
        turns = poses[:, :3, :3]
        straight = np.allclose(turns @ turns.transpose(0, 2, 1), np.eye(3), atol=1e-3)
        if not straight or not np.all(np.linalg.det(turns) > 0) or not np.allclose(poses[:, 3], [0, 0, 0, 1]):
            raise ConfigError(f"{file}: robot_from_camera is no rotation and translation")
        if not 0 < unit < 1:
            raise ConfigError(f"{file}: depth_unit {unit:g} is no share of a metre")
        return intrinsics, poses, unit

    def view(self, name: str, step: int) -> View:
        intrinsics, poses, unit = self.calibrations[name]
        folder = self.folder / name
        rgb = _picture(next(iter(sorted((folder / "color").glob(f"{step:06d}.*"))), folder / f"color/{step:06d}.png"))
        levels = _picture(folder / "depth" / f"{step:06d}.png")
        if levels.ndim != 2 or rgb.shape[:2] != levels.shape:
            raise ConfigError(
                f"{folder}, step {step}: colour {rgb.shape} and depth {levels.shape} do not lie upon each other"
            )
        depth = np.where(levels > 0, levels * unit, np.inf).astype(np.float32)
        return View(rgb[..., :3], depth, intrinsics, poses[step])

    def check(self) -> None:
        """Whether the gripper is where the cameras see something. Raises `ConfigError`."""
        file = self.folder / "tcp.npy"
        if not file.exists():
            return
        places = np.load(file, allow_pickle=False)
        if places.shape != (self.steps, 3):
            raise ConfigError(f"{file} is {places.shape}, not ({self.steps}, 3)")
        chosen = np.unique(np.linspace(0, self.steps - 1, min(CHECKED, self.steps)).astype(int))
        seen = [any(_plausible(self.view(name, step), places[step]) for name in self.cameras) for step in chosen]
        if np.mean(seen) < ENOUGH:
            raise ConfigError(
                f"{self.folder}: in {len(seen) - sum(seen)} of {len(seen)} moments the gripper (tcp.npy) is in no "
                "picture, or behind what is seen there. Is robot_from_camera the other way round, or in another frame?"
            )


def open_shards(config: DataConfig, root: Path, pictures: bool, workers: int) -> list[Shard]:
    """One shard for each task and camera (for each task if clouds are fused), converted where it is missing."""
    del workers  # reading is bound by the disk
    low, high = config.crop[:3], config.crop[3:]
    shards = []
    for task, recordings in sorted(find(config).items()):
        for recording in recordings:
            recording.check()
        for names in _groups(config, recordings):
            key = _key(config, recordings, names, pictures)
            moments = list(_moments(config, task, recordings, names))
            folder = root / "frames" / f"{config.name}-{hashlib.sha256(task.encode()).hexdigest()[:8]}-{key}"
            title = f"{config.name} {task} {'+'.join(names)}"
            fields, kept = convert(folder, title, moments, Crop(low, high), config.num_points, pictures)  # type: ignore[arg-type]
            chosen = [moments[int(number)] for number in kept]
            shards.append(Shard(
                source=config.name, task=task, instructions=tuple(m.instruction for m in chosen), fields=fields,
                trajectories=tuple(m.trajectory for m in chosen), held_out=np.array([m.held_out for m in chosen]),
                key=key, licence=", ".join(sorted({r.meta["licence"] for r in recordings})),
            ))  # fmt: skip
    return shards


def find(config: DataConfig) -> dict[str, list[Recording]]:
    """Task -> its first `demos` recordings by name. Raises `ConfigError` if a task that is asked for has none."""
    root = Path(config.root).expanduser()
    found: dict[str, list[Recording]] = defaultdict(list)
    for file in sorted(root.glob("*/meta.json")):
        recording = Recording(file.parent)
        task = recording.meta["task"]
        if config.tasks == ("all",) or task in config.tasks:
            found[task].append(recording)
    missing = [task for task in config.tasks if task not in found and config.tasks != ("all",)]
    if missing or not found:
        raise ConfigError(f"{root} has no recording of {', '.join(missing) or 'anything'} (*/meta.json)")
    return {task: recordings[: config.demos] for task, recordings in found.items()}


def _groups(config: DataConfig, recordings: list[Recording]) -> list[tuple[str, ...]]:
    there = sorted(set.intersection(*(set(r.cameras) for r in recordings)))
    names = tuple(there) if config.cameras == ("all",) else config.cameras
    absent = [name for name in names if name not in there]
    if absent or not names:
        raise ConfigError(
            f"not every recording of {recordings[0].meta['task']} has camera {', '.join(absent) or 'x'}; all have "
            f"{', '.join(there) or 'none in common'}"
        )
    return [names] if config.cloud == "fused" else [(name,) for name in names]


def _moments(config: DataConfig, task: str, recordings: list[Recording], names: tuple[str, ...]) -> Iterator[Moment]:
    held_out = min(config.held_out, len(recordings) - 1)
    for number, recording in enumerate(recordings):
        for step in range(0, recording.steps, config.stride):
            yield Moment(
                f"{config.name}/{recording.folder.name}", recording.meta["instruction"],
                number >= len(recordings) - held_out,
                lambda r=recording, s=step: [r.view(name, s) for name in names],  # type: ignore[misc]
            )  # fmt: skip


def _plausible(view: View, place: np.ndarray) -> bool:
    (pixel,), (depth,) = camera.project(place[None], view.intrinsics, view.extrinsics)
    height, width = view.depth.shape
    u, v = int(np.floor(pixel[0])), int(np.floor(pixel[1]))
    if depth <= 0 or not (0 <= u < width and 0 <= v < height):
        return False
    return bool(depth < view.depth[max(0, v - 2) : v + 3, max(0, u - 2) : u + 3].max() + SLACK)


def _key(config: DataConfig, recordings: list[Recording], names: tuple[str, ...], pictures: bool) -> str:
    """By the small files and the sizes of the pictures; a picture that is changed in place keeps its size seldom."""
    digest = hashlib.sha256()
    for recording in recordings:
        digest.update(json.dumps(recording.meta, sort_keys=True).encode())
        for name in names:
            digest.update((recording.folder / name / "camera.json").read_bytes())
            for file in sorted((recording.folder / name).glob("*/*")):
                digest.update(f"{file.name}|{file.stat().st_size}".encode())
    facts = [
        FORMAT,
        names,
        pictures,
        config.stride,
        config.num_points,
        config.crop,
        config.held_out,
        digest.hexdigest(),
    ]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]


def _json(file: Path) -> dict[str, Any]:
    try:
        data = json.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise ConfigError(f"{file} cannot be read ({type(error).__name__}: {error})") from error
    if not isinstance(data, dict):
        raise ConfigError(f"{file} is no JSON object")
    return data


def _picture(path: Path) -> np.ndarray:
    try:
        with Image.open(path) as image:
            return np.asarray(image)
    except OSError as error:
        raise ConfigError(f"{path} cannot be read ({error})") from error
