"""Recorded pictures and depth to the arrays of a shard, kept on disk: whole shards, or nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.errors import ConfigError
from benchmark.pretrain.frames import CLOUD, PICTURE
from benchmark.progress import bar, say
from benchmark.storage import allocate, discard, exclusive, explain, write_json
from envs import points
from envs.spec import Crop


@dataclass(frozen=True)
class View:
    """What one camera recorded at one moment, in the robot's frame.

    rgb (H, W, 3) uint8; depth (H, W) float32 metres along the optical axis; intrinsics (3, 3) pixels, pixel centres at
    half-integers; extrinsics (4, 4) robot_from_camera with OpenCV axes.
    """

    rgb: np.ndarray
    depth: np.ndarray
    intrinsics: np.ndarray
    extrinsics: np.ndarray


@dataclass(frozen=True)
class Moment:
    """One frame to be: its trajectory, its instruction, and how its views are read."""

    trajectory: str
    instruction: str
    held_out: bool
    views: Callable[[], list[View]]


def convert(folder: Path, title: str, moments: list[Moment], crop: Crop, num_points: int,
            pictures: bool) -> tuple[dict[str, np.ndarray], np.ndarray]:  # fmt: skip
    """Fields (n, ...) and which moments (n,) they are: those without a point inside the crop are left out, and counted.

    The clouds of all views of a moment are fused. Kept under `folder`.
    """
    names = CLOUD + PICTURE if pictures else CLOUD
    with exclusive(folder.with_suffix(".lock"), title, wait=True, notify=say):
        if not (folder / "complete.json").exists():
            discard(folder)
            _fill(folder, title, moments, crop, num_points, names)
    kept = np.load(folder / "kept.npy")
    return {name: np.load(folder / f"{name}.npy", mmap_mode="r")[: len(kept)] for name in names}, kept


def _fill(folder: Path, title: str, moments: list[Moment], crop: Crop, num_points: int,
          names: tuple[str, ...]) -> None:  # fmt: skip
    arrays: dict[str, np.ndarray] = {}
    kept: list[int] = []
    with explain(folder), bar(title, len(moments)) as advance:
        for number, moment in enumerate(moments):
            fields = _fields(moment.views(), crop, num_points)
            if fields is not None:
                for name in names:
                    value = fields[name]
                    if name not in arrays:
                        arrays[name] = allocate(folder / f"{name}.npy", (len(moments), *value.shape), str(value.dtype))
                    if value.shape != arrays[name].shape[1:]:
                        raise ConfigError(
                            f"{moment.trajectory}: {name} is {value.shape}, and {arrays[name].shape[1:]} before it; "
                            "one source has pictures of one size"
                        )
                    arrays[name][len(kept)] = value
                kept.append(number)
            advance()
        if not kept:
            raise ConfigError(
                f"{title}: no moment has a point inside the crop {crop}; is it in the robot's frame, in metres?"
            )
        for array in arrays.values():
            array.flush()  # type: ignore[attr-defined]
        np.save(folder / "kept.npy", np.array(kept))
    if len(kept) < len(moments):
        say(f"{title}: {len(moments) - len(kept)} of {len(moments)} moments have no point inside the crop")
    write_json(folder / "complete.json", {"moments": len(moments), "kept": len(kept)})


def _fields(views: list[View], crop: Crop, num_points: int) -> dict[str, Any] | None:
    clouds = []
    for view in views:
        height, width = view.depth.shape
        back = points.BackProjection(view.intrinsics, view.extrinsics, height, width, crop)
        clouds.append(back(view.depth)[0])
    cloud = np.concatenate(clouds)
    if not len(cloud):
        return None
    chosen, valid = points.pad(cloud[points.sample(cloud, num_points, "bucket")], num_points)
    return {
        "points": chosen.astype(np.float32), "points_valid": valid, "rgb": np.stack([v.rgb for v in views]),
        "depth": np.stack([v.depth for v in views]).astype(np.float32),
        "intrinsics": np.stack([v.intrinsics for v in views]).astype(np.float32),
        "extrinsics": np.stack([v.extrinsics for v in views]).astype(np.float32),
    }  # fmt: skip
