"""Demonstrations as RLBench's `dataset_generator` stores them; neither RLBench nor PyRep is needed.

ROOT/TASK/{all_variations,variationN}/episodes/episodeN/ with CAMERA_rgb/I.png, CAMERA_depth/I.png and
low_dim_obs.pkl; variation_descriptions.pkl beside it (PerAct's layout) or beside `episodes`. Depth is a share of the
camera's range in 24 bits over the three channels of a PNG; near, far and the matrices are in every observation's
`misc`. PyRep's camera frame has x to the left and y up, with negative focal lengths; here both are turned into
OpenCV's.

Projections differ from RLBench's own `pointcloud_from_depth` by half a pixel: that takes a pixel's corner for its
centre.
"""

from __future__ import annotations

import re
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmark.data.panda_base import find_base
from benchmark.data.safe_pickle import Refused, read_pickle
from benchmark.system.checked_arrays import as_numbers
from benchmark.system.errors import ConfigError
from envs.files import why_no_file
from envs.recorded_views import View
from envs.rlbench.sensing import calibration

DEPTH_LEVELS = 2**24 - 1


class Episode:
    """One demonstration on disk."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @cached_property
    def observations(self) -> list[Any]:
        """Raises `Refused`."""
        demo = read_pickle(self.folder / "low_dim_obs.pkl")
        found = getattr(demo, "_observations", demo)
        if not isinstance(found, list) or not found:
            raise Refused(f"{self.folder / 'low_dim_obs.pkl'} holds no observations")
        return found

    def forget(self) -> None:
        """Let go of what was read; it is read again when it is asked for."""
        self.__dict__.pop("observations", None)

    @cached_property
    def base(self) -> np.ndarray:
        """(3,) metres in the world."""
        mend = "Where the robot stands can be given as DATA.base=[x,y,z]"
        joints = self.each("joint_positions", (7,), "7 joint angles in radians", mend)
        grippers = self.each("gripper_pose", (7,), "x, y, z in metres and a quaternion", mend)[:, :3]
        return find_base(joints, grippers)

    def each(self, name: str, shape: tuple[int, ...], meaning: str, mend: str) -> np.ndarray:
        """One field of all observations, (T, *shape) float64. Raises `ConfigError` naming the file, the observation and
        what mends it."""
        file = self.folder / "low_dim_obs.pkl"
        found = []
        for step, observation in enumerate(self.observations):
            value = getattr(observation, name, None)
            if value is None:
                raise ConfigError(
                    f"{file}: observation {step} has no {name} ({meaning}); RLBench leaves it out where "
                    f"ObservationConfig.{name} is off. {mend}"
                )
            found.append(as_numbers(value, shape, f"{file}: observation {step}: {name}", meaning))
        return np.stack(found)

    @cached_property
    def instruction(self) -> str:
        """The longest of its variation's descriptions (Lift3D's choice); the task's words where there is none."""
        for place in (self.folder, self.folder.parents[1]):
            file = place / "variation_descriptions.pkl"
            if file.exists():
                described = read_pickle(file)
                if isinstance(described, list) and described and all(isinstance(text, str) for text in described):
                    return max(described, key=len)
                raise Refused(f"{file} is no list of descriptions")
        return self.folder.parents[2].name.replace("_", " ")

    def calibrated(self, camera: str, step: int) -> tuple[np.ndarray, np.ndarray, float, float]:
        """As PyRep gives them: intrinsics (3, 3) pixels, world_from_camera (4, 4), near and far, metres.

        Raises `ConfigError` naming what is not there.
        """
        where = f"{self.folder / 'low_dim_obs.pkl'}: observation {step}"
        misc = getattr(self.observations[step], "misc", None)
        if not isinstance(misc, dict) or not all(isinstance(name, str) for name in misc):
            raise ConfigError(f"{where} has no misc, where RLBench keeps its cameras' calibrations")

        def of_camera(what: str, shape: tuple[int, ...], meaning: str) -> np.ndarray:
            name = f"{camera}_camera_{what}"
            return as_numbers(misc[name], shape, f"{where}: {name}", meaning)

        try:
            near, far = (float(of_camera(name, (), "a distance in metres")) for name in ("near", "far"))
            intrinsics = of_camera("intrinsics", (3, 3), "pixels")
            pose = of_camera("extrinsics", (4, 4), "world_from_camera in metres")
        except KeyError as error:
            there = sorted(name.removesuffix("_camera_near") for name in misc if name.endswith("_camera_near"))
            raise ConfigError(f"{self.folder} has no camera {camera} ({error}); it has {', '.join(there)}") from error
        return intrinsics, pose, near, far

    def view(self, camera: str, step: int, base: np.ndarray, yaw: float = 0.0) -> View:
        """Where nothing is hit, depth is the far plane's. Raises FileNotFoundError or `ConfigError` naming what is not
        there."""
        intrinsics, pose, near, far = self.calibrated(camera, step)
        rgb = _picture(self.folder / f"{camera}_rgb" / f"{step}.png")
        levels = _picture(self.folder / f"{camera}_depth" / f"{step}.png").astype(np.float64) @ [65536, 256, 1]
        depth = (near + levels / DEPTH_LEVELS * (far - near)).astype(np.float32)
        return View(rgb, depth, *calibration(intrinsics, pose, base, yaw))


def find_episodes(root: Path, task: str, count: int) -> list[Episode]:
    """The first `count` episodes of a task, variation by variation in turn. Raises `ConfigError` if there are fewer."""
    home = root / task.replace("-", "_")
    if not home.is_dir():
        raise ConfigError(f"{home} is no folder; RLBench's demonstrations of {task} would be there")
    found = sorted(home.glob("*/episodes/episode*"), key=lambda path: (_number(path), _number(path.parents[1])))
    if len(found) < count:
        raise ConfigError(f"{home} has {len(found)} episodes, and {count} are asked for (demos)")
    return [Episode(folder) for folder in found[:count]]


def _picture(path: Path) -> np.ndarray:
    if why := why_no_file(path):
        raise FileNotFoundError(f"{path} {why}")
    try:
        with Image.open(path) as image:
            return np.asarray(image.convert("RGB"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise ConfigError(f"{path} is no image that can be read ({error})") from error


def _number(path: Path) -> int:
    digits = re.findall(r"\d+", path.name)
    return int(digits[-1]) if digits else 0
