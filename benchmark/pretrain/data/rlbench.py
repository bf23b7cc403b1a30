"""Frames of RLBench demonstrations as RLBench's `dataset_generator` stores them; neither RLBench nor PyRep is needed.

ROOT/TASK/{all_variations,variationN}/episodes/episodeN/ with CAMERA_rgb/I.png, CAMERA_depth/I.png and
low_dim_obs.pkl; variation_descriptions.pkl beside it or beside `episodes`. Depth is a share of the camera's range in
24 bits over the three channels of a PNG; near, far and the matrices are in every observation's `misc`. PyRep's camera
frame has x to the left and y up, with negative focal lengths; here both are turned into OpenCV's.

Projections differ from RLBench's own `pointcloud_from_depth` by half a pixel: that takes a pixel's corner for its
centre.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmark.data.cache_places import Places
from benchmark.pretrain.data.config import DataConfig
from benchmark.pretrain.data.conversion import Moment, convert
from benchmark.pretrain.data.frames import Shard
from benchmark.pretrain.data.panda_base import find_base
from benchmark.pretrain.data.safe_pickle import Refused, read_pickle
from benchmark.system.checked_arrays import as_numbers
from benchmark.system.errors import ConfigError
from envs.files import why_no_file
from envs.recorded_views import View
from envs.spec import Crop

FORMAT = 1
DEPTH_LEVELS = 2**24 - 1
TURN = np.diag([-1.0, -1.0, 1.0, 1.0])
"""PyRep's camera axes to OpenCV's."""


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

    @cached_property
    def base(self) -> np.ndarray:
        """(3,) metres in the world."""
        joints = self._each("joint_positions", (7,), "7 joint angles in radians")
        grippers = self._each("gripper_pose", (7,), "x, y, z in metres and a quaternion")[:, :3]
        return find_base(joints, grippers)

    def _each(self, name: str, shape: tuple[int, ...], meaning: str) -> np.ndarray:
        """One field of all observations. Raises `ConfigError` naming the file and the observation."""
        file = self.folder / "low_dim_obs.pkl"
        found = []
        for step, observation in enumerate(self.observations):
            value = getattr(observation, name, None)
            if value is None:
                raise ConfigError(
                    f"{file}: observation {step} has no {name} ({meaning}); RLBench leaves it out where "
                    f"ObservationConfig.{name} is off. Where the robot stands can be given as DATA.base=[x,y,z]"
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

    def view(self, camera: str, step: int, base: np.ndarray, yaw: float) -> View:
        """Raises FileNotFoundError or `ConfigError` naming what is not there."""
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
        rgb = _picture(self.folder / f"{camera}_rgb" / f"{step}.png")
        levels = _picture(self.folder / f"{camera}_depth" / f"{step}.png").astype(np.float64) @ [65536, 256, 1]
        depth = (near + levels / DEPTH_LEVELS * (far - near)).astype(np.float32)
        turned = intrinsics.copy()
        turned[[0, 1], [0, 1]] = np.abs(turned[[0, 1], [0, 1]])
        return View(rgb, depth, turned, _robot_from_world(base, yaw) @ pose @ TURN)


def open_shards(config: DataConfig, places: Places, pictures: bool, workers: int) -> list[Shard]:
    """One shard for each task and camera (for each task if clouds are fused), converted where it is missing."""
    del workers  # reading is bound by the disk
    groups = [config.cameras] if config.cloud == "fused" else [(name,) for name in config.cameras]
    low, high = config.crop[:3], config.crop[3:]
    shards = []
    for task in config.tasks:
        episodes = find_episodes(Path(config.root).expanduser(), task, config.demos)
        for cameras in groups:
            moments = list(_moments(config, task, episodes, cameras))
            key = _key(config, task, episodes, cameras, pictures)
            fields, kept = convert(
                places,
                f"{task}-{'+'.join(cameras)}-{key}",
                f"{config.name} {task} {'+'.join(cameras)}",
                moments,
                Crop(low, high),  # type: ignore[arg-type]
                config.num_points,
                pictures,
            )
            chosen = [moments[int(number)] for number in kept]
            shards.append(
                Shard(
                    source=config.name,
                    task=task,
                    instructions=tuple(m.instruction for m in chosen),
                    fields=fields,
                    trajectories=tuple(m.trajectory for m in chosen),
                    held_out=np.array([m.held_out for m in chosen]),
                    key=key,
                    licence=config.licence,
                )
            )
    return shards


def find_episodes(root: Path, task: str, count: int) -> list[Episode]:
    """The first `count` episodes of a task, variation by variation in turn. Raises `ConfigError` if there are fewer."""
    home = root / task.replace("-", "_")
    if not home.is_dir():
        raise ConfigError(f"{home} is no folder; RLBench's demonstrations of {task} would be there")
    found = sorted(home.glob("*/episodes/episode*"), key=lambda path: (_number(path), _number(path.parents[1])))
    if len(found) < count:
        raise ConfigError(f"{home} has {len(found)} episodes, and {count} are asked for (demos)")
    return [Episode(folder) for folder in found[:count]]


def _moments(config: DataConfig, task: str, episodes: list[Episode], cameras: tuple[str, ...]) -> Iterator[Moment]:
    given = np.array(config.base) if config.base else None
    for number, episode in enumerate(episodes):
        base = episode.base if given is None else given

        def views(episode: Episode = episode, step: int = 0, base: np.ndarray = base) -> list[View]:
            return [episode.view(camera, step, base, config.yaw) for camera in cameras]

        for step in range(0, len(episode.observations), config.stride):
            yield Moment(
                f"{config.name}/{task}/{number}",
                episode.instruction,
                number >= config.demos - config.held_out,
                lambda step=step, views=views: views(step=step),  # type: ignore[misc]
            )


def _key(config: DataConfig, task: str, episodes: list[Episode], cameras: tuple[str, ...], pictures: bool) -> str:
    digest = hashlib.sha256()
    for episode in episodes:
        digest.update((episode.folder / "low_dim_obs.pkl").read_bytes())
    facts = [
        FORMAT,
        task,
        cameras,
        pictures,
        config.stride,
        config.num_points,
        config.crop,
        config.base,
        config.yaw,
        config.demos,
        config.held_out,
        digest.hexdigest(),
    ]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]


def _robot_from_world(base: np.ndarray, yaw: float) -> np.ndarray:
    """yaw: degrees about z that the robot's frame is turned by."""
    c, s = np.cos(np.radians(yaw)), np.sin(np.radians(yaw))
    turn = np.array([[c, -s, 0, 0], [s, c, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    moved = np.eye(4)
    moved[:3, 3] = -base
    return turn @ moved


def _picture(path: Path) -> np.ndarray:
    if why := why_no_file(path):
        raise FileNotFoundError(f"{path} {why}")
    try:
        with Image.open(path) as image:
            return np.asarray(image.convert("RGB"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise ConfigError(f"{path} is no picture that can be read ({error})") from error


def _number(path: Path) -> int:
    digits = re.findall(r"\d+", path.name)
    return int(digits[-1]) if digits else 0
