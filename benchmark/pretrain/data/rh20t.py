"""RH20T (Fang et al., ICRA 2024), through its authors' package `rh20t_api` (github.com/rh20t/rh20t_api).

ROOT/RH20T_cfgN/task_0001_user_0001_scene_0001_cfg_0001/cam_SERIAL/{color,depth}/MILLISECONDS.{jpg,png}, or ROOT is
itself one RH20T_cfgN. Calibrations and the gripper's place come from the package, which knows the seven set-ups:

    rh20t_api.configurations.load_conf(configs.json), rh20t_api.scene.RH20TScene(folder, configurations)
    scene.intrinsics[serial]               3 x 3 (or 3 x 4), of an image 1280 or 640 wide
    scene.extrinsics_base_aligned[serial]  4 x 4, camera_from_robot, all robots' bases brought to one convention
    scene.in_hand_serials                  cameras on the gripper, whose calibration is of one moment: left out
    scene.get_tcp_aligned(milliseconds)    x, y, z (metres, robot's frame) and a quaternion

All this is written from memory of the public documentation; neither the package nor the data could be opened here. So
nothing of it is believed: what the package does not have is named, and a trajectory whose gripper is not where its
images show something near is refused (`Scene.check`). Demonstrations by people (`..._human`) are left out.
"""

from __future__ import annotations

import importlib
import re
from collections import defaultdict
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.data.cache_places import Places
from benchmark.pretrain.data.config import DataConfig
from benchmark.pretrain.data.frames import Shard
from benchmark.pretrain.data.recordings import (
    Recording,
    check_pose,
    choose,
    picture,
    plausible,
    read_json,
    shards_of,
    sizes,
    view_of,
)
from benchmark.system.checked_arrays import as_numbers
from benchmark.system.errors import ConfigError
from envs.recorded_views import View

NAME = re.compile(r"(task_\d+)_user_\d+_scene_(\d+)_cfg_(\d+)")
TOGETHER = 100
"""Milliseconds that images of one moment may lie apart: the cameras are not triggered."""
MILLIMETRE, L515 = 1e-3, 2.5e-4
"""Metres of one unit of depth; the L515, whose serial numbers begin with f, counts quarters."""
BESIDE = 0.35
"""Metres between the gripper and the nearest surface around its pixel, in the middle one of the moments looked at."""


class Scene(Recording):
    """One trajectory. Raises `ConfigError` for what the package or the folder does not have."""

    def __init__(self, folder: Path, scene: Any, instruction: str) -> None:
        match = NAME.fullmatch(folder.name)
        assert match is not None
        self.folder, self.scene, self.instruction = folder, scene, instruction
        self.task, self.licence = match[1], _licence(int(match[2]))
        meta = read_json(folder / "metadata.json") if (folder / "metadata.json").exists() else {}
        moving = {str(serial) for serial in _ask(scene, "in_hand_serials")}
        unsure = {str(serial) for serial in meta.get("bad_calib_view") or ()}
        there = {path.name.removeprefix("cam_") for path in folder.glob("cam_*")}
        self.cameras = sorted(there - moving - unsure)
        if not self.cameras:
            raise ConfigError(f"{folder} has no calibrated camera; cam_*: {', '.join(sorted(there)) or 'none'}")

    @cached_property
    def times(self) -> dict[str, np.ndarray]:
        """Camera -> milliseconds (T,) at which it has both colour and depth."""
        found = {}
        for name in self.cameras:
            color, depth = (
                {int(file.stem) for file in (self.folder / f"cam_{name}" / kind).glob("*") if file.stem.isdigit()}
                for kind in ("color", "depth")
            )
            found[name] = np.array(sorted(color & depth), np.int64)
            if not len(found[name]):
                raise ConfigError(
                    f"{self.folder}/cam_{name} has no moment with color/MILLISECONDS.jpg and depth/MILLISECONDS.png; "
                    "RH20T's videos are unpacked with rh20t_api's extraction first"
                )
        return found

    @cached_property
    def moments(self) -> np.ndarray:
        """Milliseconds (steps, cameras): the first camera's, and the nearest of each other."""
        first, *others = (self.times[name] for name in self.cameras)
        columns = [first, *(_nearest(first, other) for other in others)]
        table = np.stack(columns, axis=1)
        return table[(abs(table - table[:, :1]) <= TOGETHER).all(axis=1)]

    @property
    def steps(self) -> int:
        return len(self.moments)

    @cached_property
    def calibrations(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Camera -> intrinsics (3, 3) of its images, robot_from_camera (4, 4)."""
        return {name: self._calibration(name) for name in self.cameras}

    def _calibration(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        where = f"{self.folder}: camera {name}"
        try:
            intrinsics = np.array(_ask(self.scene, "intrinsics")[name], np.float64)[:3, :3]
            pose = np.array(_ask(self.scene, "extrinsics_base_aligned")[name], np.float64)
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise ConfigError(f"{where} has no calibration ({type(error).__name__}: {error})") from error
        if intrinsics.shape != (3, 3) or pose.shape != (4, 4):
            raise ConfigError(f"{where}: intrinsics are {intrinsics.shape}, extrinsics_base_aligned {pose.shape}")
        as_numbers(intrinsics, (3, 3), f"{where}: intrinsics", "pixels")
        check_pose(pose, f"{where}: extrinsics_base_aligned")
        height, width = picture(self._file(name, "color", int(self.times[name][0]))).shape[:2]
        return _resized(intrinsics, width, height, where), np.linalg.inv(pose)

    def _file(self, name: str, kind: str, time: int) -> Path:
        folder = self.folder / f"cam_{name}" / kind
        return next(iter(sorted(folder.glob(f"{time}.*"))), folder / f"{time}.png")

    def view(self, name: str, step: int) -> View:
        time = int(self.moments[step, self.cameras.index(name)])
        unit = L515 if name.startswith("f") else MILLIMETRE
        return view_of(self._file(name, "color", time), self._file(name, "depth", time), unit, *self.calibrations[name])

    def places(self) -> np.ndarray:
        ask = _ask(self.scene, "get_tcp_aligned")
        try:
            found = np.stack([np.asarray(ask(int(time)), np.float64)[:3] for time in self.moments[:, 0]])
            return as_numbers(found, (self.steps, 3), f"{self.folder}: get_tcp_aligned", "metres")
        except ConfigError:
            raise
        except (TypeError, ValueError, KeyError, IndexError) as error:
            raise ConfigError(f"{self.folder}: get_tcp_aligned: {type(error).__name__}: {error}") from error

    def check(self) -> None:
        """Also whether depth is in the unit that we take it for: the gripper is a thing beside its own place."""
        if not self.steps:
            raise ConfigError(f"{self.folder}: the cameras {', '.join(self.cameras)} have no moment in common")
        super().check()
        places, gaps = self.places(), []
        for step in self.looked_at():
            for name in self.cameras:
                view = self.view(name, step)
                if plausible(view, places[step]):
                    gaps.append(_gap(view, places[step]))
        if gaps and np.median(gaps) > BESIDE:
            raise ConfigError(
                f"{self.folder}: the nearest surface around the gripper is {np.median(gaps):.2f} m from it in the "
                "images; is depth in another unit than millimetres (quarters of one for L515, serials f...)?"
            )

    def fingerprint(self, name: str) -> bytes:
        intrinsics, pose = self.calibrations[name]
        return intrinsics.tobytes() + pose.tobytes() + sizes(sorted((self.folder / f"cam_{name}").glob("*/*")))


def open_shards(config: DataConfig, places: Places, pictures: bool, workers: int) -> list[Shard]:
    """One shard for each task and camera (for each task if clouds are fused), converted where it is missing."""
    del workers  # reading is bound by the disk
    place = Path(config.root).expanduser()
    kept: dict[str, list[Path]] = defaultdict(list)
    for folder in sorted([*place.glob("task_*"), *place.glob("*/task_*")], key=lambda one: one.name):
        match = NAME.fullmatch(folder.name)
        if match and (config.tasks == ("all",) or match[1] in config.tasks) and len(kept[match[1]]) < config.demos:
            kept[match[1]].append(folder)
    found: dict[str, list[Recording]] = {}
    if kept:
        words, make = _instructions(place, sorted(kept)), _package()
        found = {task: [Scene(f, make(f), words[task]) for f in chosen] for task, chosen in kept.items()}
    return shards_of(config, choose(config, found, f"{place} (task_*_user_*_scene_*_cfg_*)"), places, pictures)


def _package() -> Callable[[Path], Any]:
    """Folder -> RH20TScene."""
    try:
        configurations = importlib.import_module("rh20t_api.configurations")
        scene = importlib.import_module("rh20t_api.scene")
    except ImportError as error:
        raise ConfigError(
            f"RH20T is read through its authors' package, which cannot be imported ({error}): clone "
            "https://github.com/rh20t/rh20t_api, install its requirements, and put the clone on PYTHONPATH"
        ) from error
    file = Path(str(configurations.__file__)).parents[1] / "configs" / "configs.json"
    if not file.exists():
        raise ConfigError(f"{file} is missing; it comes with a clone of rh20t_api")
    known, kind = _ask(configurations, "load_conf")(str(file)), _ask(scene, "RH20TScene")

    def make(folder: Path) -> Any:
        try:
            return kind(str(folder), known)
        except (OSError, KeyError, TypeError, ValueError, IndexError) as error:
            raise ConfigError(f"rh20t_api cannot open {folder} ({type(error).__name__}: {error})") from error

    return make


def _ask(owner: Any, name: str) -> Any:
    try:
        return getattr(owner, name)
    except AttributeError as error:
        kind = getattr(owner, "__name__", type(owner).__name__)
        raise ConfigError(
            f"this rh20t_api has no {kind}.{name}, which our reader asks for "
            "(benchmark/pretrain/data/rh20t.py); the layout `calibrated` takes what any version can export"
        ) from error


def _instructions(place: Path, tasks: list[str]) -> dict[str, str]:
    """Task -> sentence, from RH20T's *task_description*.json or one of yours: {"task_0001": "pour the water"}."""
    files = [file for folder in (place, place.parent) for file in sorted(folder.glob("*task_description*.json"))]
    if not files:
        raise ConfigError(f'no *task_description*.json in {place} or above it: {{"task_0001": "what is done", ...}}')
    table = read_json(files[0])
    words = {}
    for task in tasks:
        entry = table.get(task)
        if isinstance(entry, dict):
            entry = next((text for key, text in entry.items() if "english" in key.lower()), None)
        if not isinstance(entry, str) or not entry:
            raise ConfigError(f"{files[0]} has no sentence for {task}")
        words[task] = entry
    return words


def _licence(scene: int) -> str:
    """RH20T's scenes 1 to 5 are CC-BY-SA-4.0, 6 to 10 CC-BY-NC-4.0."""
    if not 1 <= scene <= 10:
        return f"RH20T's own (scene {scene} is none of the ten whose licence is known here)"
    return "CC-BY-SA-4.0 (RH20T)" if scene <= 5 else "CC-BY-NC-4.0 (RH20T, non-commercial)"


def _resized(intrinsics: np.ndarray, width: int, height: int, where: str) -> np.ndarray:
    """Of the images on the disk, which RH20T halves for its small download; the axis goes through their middle.

    OpenCV's calibrations count from the first pixel's centre, ours from its corner.
    """
    moved = intrinsics.copy()
    moved[:2, 2] += 0.5
    candidates = [np.diag([scale, scale, 1.0]) @ moved for scale in (1.0, 0.5, 2.0)]
    best = min(candidates, key=lambda k: abs(k[0, 2] / width - 0.5) + abs(k[1, 2] / height - 0.5))
    if abs(best[0, 2] / width - 0.5) > 0.15 or abs(best[1, 2] / height - 0.5) > 0.15:
        raise ConfigError(
            f"{where}: the optical axis goes through ({best[0, 2]:.0f}, {best[1, 2]:.0f}) of images of {width} x "
            f"{height}: its intrinsics are of another camera or another size"
        )
    return best


def _nearest(wanted: np.ndarray, there: np.ndarray) -> np.ndarray:
    """For each of `wanted` the nearest of `there`, both ascending."""
    right = np.searchsorted(there, wanted).clip(1, max(len(there) - 1, 1))
    if len(there) == 1:
        return np.broadcast_to(there, wanted.shape)
    left = there[right - 1]
    return np.where(wanted - left <= there[right] - wanted, left, there[right])


def _gap(view: View, place: np.ndarray) -> float:
    """Metres along the optical axis between `place` and the nearest surface within a twentieth of the image."""
    local = np.linalg.inv(view.extrinsics) @ [*place, 1.0]
    u, v = (view.intrinsics @ local[:3])[:2] / local[2]
    reach = max(2, view.depth.shape[1] // 20)
    window = view.depth[max(0, int(v) - reach) : int(v) + reach + 1, max(0, int(u) - reach) : int(u) + reach + 1]
    return float(abs(window.min() - local[2]))
