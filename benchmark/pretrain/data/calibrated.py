"""Recordings with calibrated cameras in a layout of ours, that anything can be exported to: your own robot, say.

ROOT/TRAJECTORY/meta.json              {"task": "pour", "instruction": "pour the water", "licence": "CC-BY-4.0"}
ROOT/TRAJECTORY/tcp.npy                (T, 3) float, the gripper's place in the robot's frame, metres; may be absent
ROOT/TRAJECTORY/CAMERA/camera.json     {"intrinsics": 3x3, "robot_from_camera": 4x4 or T of them, "depth_unit": 0.001}
ROOT/TRAJECTORY/CAMERA/color/000000.png, ...  (or .jpg)   and depth/000000.png, ... of 16 bits; 0 is no measurement

Axes are OpenCV's, pixel centres lie at half-integers.
"""

from __future__ import annotations

from collections import defaultdict
from functools import cached_property
from pathlib import Path

import numpy as np

from benchmark.data.cache_places import Places
from benchmark.pretrain.data.config import DataConfig
from benchmark.pretrain.data.frames import Shard
from benchmark.pretrain.data.recordings import Recording, check_pose, choose, read_json, shards_of, sizes, view_of
from benchmark.system.checked_arrays import as_numbers, read_numbers
from benchmark.system.errors import ConfigError
from envs.recorded_views import View


class Calibrated(Recording):
    """One trajectory of the layout. Raises `ConfigError` naming the file for what is not as the layout says."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        meta = read_json(folder / "meta.json")
        for name in ("task", "instruction", "licence"):
            if not isinstance(meta.get(name), str) or not meta[name]:
                raise ConfigError(f"{folder / 'meta.json'} has no {name}")
        self.task, self.instruction, self.licence = meta["task"], meta["instruction"], meta["licence"]
        self.cameras = sorted(path.parent.name for path in folder.glob("*/camera.json"))
        if not self.cameras:
            raise ConfigError(f"{folder} has no CAMERA/camera.json")

    @cached_property
    def steps(self) -> int:
        counts = {name: len(list((self.folder / name / "depth").glob("*.png"))) for name in self.cameras}
        if len(set(counts.values())) > 1 or not min(counts.values()):
            raise ConfigError(f"{self.folder}: cameras have {counts} images of depth; all need equally many")
        return min(counts.values())

    @cached_property
    def calibrations(self) -> dict[str, tuple[np.ndarray, np.ndarray, float]]:
        """Camera -> intrinsics (3, 3), robot_from_camera (T, 4, 4), metres of one unit of depth."""
        return {name: self._calibration(self.folder / name / "camera.json") for name in self.cameras}

    def _calibration(self, file: Path) -> tuple[np.ndarray, np.ndarray, float]:
        data = read_json(file)
        try:
            intrinsics = np.array(data["intrinsics"], np.float64)
            poses = np.array(data["robot_from_camera"], np.float64)
            unit = float(data["depth_unit"])
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise ConfigError(f"{file}: {type(error).__name__}: {error}") from error
        poses = np.broadcast_to(poses, (self.steps, 4, 4)) if poses.shape == (4, 4) else poses
        if intrinsics.shape != (3, 3) or poses.shape != (self.steps, 4, 4):
            raise ConfigError(f"{file}: intrinsics are 3 x 3, robot_from_camera 4 x 4, or {self.steps} of them")
        as_numbers(intrinsics, (3, 3), f"{file}: intrinsics", "pixels")
        if not (intrinsics[0, 0] > 0 and intrinsics[1, 1] > 0):
            raise ConfigError(f"{file}: intrinsics have focal lengths {intrinsics[0, 0]:g} and {intrinsics[1, 1]:g}")
        check_pose(poses, f"{file}: robot_from_camera")
        if not 0 < unit < 1:
            raise ConfigError(f"{file}: depth_unit {unit:g} is no share of a metre")
        return intrinsics, poses, unit

    def view(self, name: str, step: int) -> View:
        intrinsics, poses, unit = self.calibrations[name]
        color, depth = self.folder / name / "color", self.folder / name / "depth" / f"{step:06d}.png"
        rgb = next(iter(sorted(color.glob(f"{step:06d}.*"))), color / f"{step:06d}.png")
        return view_of(rgb, depth, unit, intrinsics, poses[step])

    def places(self) -> np.ndarray | None:
        file = self.folder / "tcp.npy"
        if not file.exists():
            return None
        return read_numbers(file, (self.steps, 3), "the gripper's place in the robot's frame, metres")

    def fingerprint(self, name: str) -> bytes:
        folder = self.folder / name
        return (folder / "camera.json").read_bytes() + sizes(sorted(folder.glob("*/*")))


def open_shards(config: DataConfig, places: Places, pictures: bool, workers: int) -> list[Shard]:
    """One shard for each task and camera (for each task if clouds are fused), converted where it is missing."""
    del workers  # reading is bound by the disk
    recordings = Path(config.root).expanduser()
    found: dict[str, list[Recording]] = defaultdict(list)
    for file in sorted(recordings.glob("*/meta.json")):
        recording = Calibrated(file.parent)
        found[recording.task].append(recording)
    return shards_of(config, choose(config, found, f"{recordings} (*/meta.json)"), places, pictures)
