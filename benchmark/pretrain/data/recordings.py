"""Frames of real recordings with calibrated cameras, whatever the files look like.

A calibration that is the wrong way round, or of another size of image, gives clouds that look like clouds: where the
gripper's place is known, it has to be in the images and not behind what they show.
"""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmark.data.cache_places import Places
from benchmark.pretrain.data.config import DataConfig
from benchmark.pretrain.data.conversion import Moment, convert
from benchmark.pretrain.data.frames import Shard
from benchmark.system import checked_json
from benchmark.system.errors import ConfigError
from envs import camera
from envs.crop import Crop
from envs.files import why_no_file
from envs.recorded_views import View

FORMAT = 2
CHECKED = 12
"""Moments of a trajectory at which the gripper is looked for."""
SLACK = 0.15
"""Metres that the gripper's tip may seem to lie behind the surface that is seen there: fingers have a size."""
ENOUGH = 0.5


class Recording(ABC):
    """One trajectory. folder: where it lies, for messages; its name is the trajectory's."""

    folder: Path
    task: str
    instruction: str
    licence: str
    cameras: Sequence[str]

    @property
    @abstractmethod
    def steps(self) -> int:
        """Moments at which every camera has an image."""

    @abstractmethod
    def view(self, name: str, step: int) -> View:
        """Raises `ConfigError` naming the file that cannot be read."""

    @abstractmethod
    def places(self) -> np.ndarray | None:
        """Where the gripper is, (steps, 3) metres in the robot's frame; None if that is not known."""

    @abstractmethod
    def fingerprint(self, name: str) -> bytes:
        """Changes with the camera's calibration and images, without reading them all."""

    def looked_at(self) -> list[int]:
        """Moments spread over the trajectory, for checks."""
        return sorted(set(np.linspace(0, self.steps - 1, min(CHECKED, self.steps)).astype(int).tolist()))

    def check(self) -> None:
        """Whether the gripper is where the cameras see something. Raises `ConfigError`."""
        places = self.places()
        if places is None:
            return
        seen = [
            any(plausible(self.view(name, step), places[step]) for name in self.cameras) for step in self.looked_at()
        ]
        if np.mean(seen) < ENOUGH:
            raise ConfigError(
                f"{self.folder}: in {len(seen) - sum(seen)} of {len(seen)} moments the gripper is in no image, or "
                "behind what is seen there. Are the cameras' poses the other way round, or in another frame?"
            )


def shards_of(config: DataConfig, found: Mapping[str, list[Recording]], places: Places, pictures: bool) -> list[Shard]:
    """One shard for each task and camera (for each task if clouds are fused), converted where it is missing."""
    low, high = config.crop[:3], config.crop[3:]
    shards = []
    for task, recordings in sorted(found.items()):
        for recording in recordings:
            recording.check()
        for names in _groups(config, recordings):
            key = _key(config, recordings, names, pictures)
            moments = list(_moments(config, recordings, names))
            name = f"{config.name}-{hashlib.sha256(task.encode()).hexdigest()[:8]}-{key}"
            title = f"{config.name} {task} {'+'.join(names)}"
            fields, kept = convert(places, name, title, moments, Crop(low, high), config.num_points, pictures)  # type: ignore[arg-type]
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
                    licence=", ".join(sorted({r.licence for r in recordings})),
                )
            )
    return shards


def choose(config: DataConfig, found: Mapping[str, list[Recording]], where: str) -> dict[str, list[Recording]]:
    """Task -> its first `demos` recordings by name. Raises `ConfigError` if a task that is asked for has none."""
    wanted = set(found) if config.tasks == ("all",) else set(config.tasks)
    missing = sorted(wanted - set(found))
    if missing or not wanted:
        raise ConfigError(f"{where} has no recording of {', '.join(missing) or 'anything'}")
    return {task: sorted(found[task], key=lambda one: one.folder.name)[: config.demos] for task in sorted(wanted)}


def plausible(view: View, place: np.ndarray) -> bool:
    """Whether a camera that sees this could see something at `place` (3,): inside the image, not behind it."""
    (pixel,), (depth,) = camera.project(place[None], view.intrinsics, view.extrinsics)
    height, width = view.depth.shape
    if depth <= 0 or not (0 <= pixel[0] < width and 0 <= pixel[1] < height):
        return False
    u, v = int(pixel[0]), int(pixel[1])
    return bool(depth < view.depth[max(0, v - 2) : v + 3, max(0, u - 2) : u + 3].max() + SLACK)


def check_pose(pose: np.ndarray, where: str) -> None:
    """(..., 4, 4) must be rotations and translations. Raises `ConfigError`."""
    turns = pose[..., :3, :3]
    if not np.isfinite(pose).all():
        raise ConfigError(f"{where} holds NaN or infinity")
    straight = np.allclose(turns @ np.swapaxes(turns, -1, -2), np.eye(3), atol=1e-3)
    if not straight or not np.all(np.linalg.det(turns) > 0) or not np.allclose(pose[..., 3, :], [0, 0, 0, 1]):
        raise ConfigError(f"{where} is no rotation and translation")


def view_of(rgb: Path, depth: Path, unit: float, intrinsics: np.ndarray, pose: np.ndarray) -> View:
    """Two images that lie upon each other; depth of 16 bits in `unit` metres, 0 where nothing was measured."""
    colour, levels = picture(rgb), picture(depth)
    if levels.ndim != 2 or colour.shape[:2] != levels.shape:
        raise ConfigError(f"{rgb}: colour {colour.shape} and depth {levels.shape} do not lie upon each other")
    metres = np.where(levels > 0, levels * unit, np.inf).astype(np.float32)
    return View(colour[..., :3], metres, intrinsics, pose)


def read_json(file: Path) -> dict[str, Any]:
    try:
        data = checked_json.read_json(file)
    except checked_json.NotPlain as error:
        raise ConfigError(f"{file} cannot be read: {error}") from error
    if not isinstance(data, dict):
        raise ConfigError(f"{file} is no JSON object")
    return data


def picture(path: Path) -> np.ndarray:
    if why := why_no_file(path):
        raise ConfigError(f"{path} cannot be read: it {why}")
    try:
        with Image.open(path) as image:
            return np.asarray(image)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise ConfigError(f"{path} cannot be read ({error})") from error


def sizes(files: Sequence[Path]) -> bytes:
    """Names and sizes of files: an image that is changed in place keeps its size seldom."""
    return "".join(f"{file.name}|{file.stat().st_size}" for file in files).encode()


def _groups(config: DataConfig, recordings: list[Recording]) -> list[tuple[str, ...]]:
    there = sorted(set.intersection(*(set(r.cameras) for r in recordings)))
    names = tuple(there) if config.cameras == ("all",) else config.cameras
    absent = [name for name in names if name not in there]
    if absent or not names:
        raise ConfigError(
            f"not every recording of {recordings[0].task} has camera {', '.join(absent) or 'x'}; all have "
            f"{', '.join(there) or 'none in common'}"
        )
    return [names] if config.cloud == "fused" else [(name,) for name in names]


def _moments(config: DataConfig, recordings: list[Recording], names: tuple[str, ...]) -> Iterator[Moment]:
    held_out = min(config.held_out, len(recordings) - 1)
    for number, recording in enumerate(recordings):
        for step in range(0, recording.steps, config.stride):
            yield Moment(
                f"{config.name}/{recording.folder.name}",
                recording.instruction,
                number >= len(recordings) - held_out,
                lambda r=recording, s=step: [r.view(name, s) for name in names],  # type: ignore[misc]
            )


def _key(config: DataConfig, recordings: list[Recording], names: tuple[str, ...], pictures: bool) -> str:
    digest = hashlib.sha256()
    for recording in recordings:
        digest.update(json.dumps([recording.task, recording.instruction, recording.licence]).encode())
        for name in names:
            digest.update(recording.fingerprint(name))
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
