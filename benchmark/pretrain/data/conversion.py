"""Recorded images and depth to the arrays of a shard, kept on disk: whole shards, or nothing."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.data.array_cache import COMPLETE, EARLIER, read_back, read_plain
from benchmark.data.cache_places import Places, obtain
from benchmark.data.checksums import checksum, damaged, place_in
from benchmark.data.sample_inputs import Unusable, stored
from benchmark.pretrain.data.frames import CLOUD, PICTURE
from benchmark.system.errors import ConfigError
from benchmark.system.files import allocate, discard, explain, write_json
from benchmark.system.progress import bar, say
from envs import points
from envs.crop import Crop
from envs.recorded_views import View


@dataclass(frozen=True)
class Moment:
    """One frame to be: its trajectory, its instruction, and how its views are read."""

    trajectory: str
    instruction: str
    held_out: bool
    views: Callable[[], list[View]]


def convert(
    places: Places, name: str, title: str, moments: list[Moment], crop: Crop, num_points: int, pictures: bool
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Fields (n, ...) and which moments (n,) they are: those without a point inside the crop are left out, and counted.

    The clouds of all views of a moment are fused. Kept under `name` in one of the places with checksums of their bytes;
    what is damaged is said and converted again.
    """
    names = CLOUD + PICTURE if pictures else CLOUD

    def make(folder: Path) -> tuple[dict[str, np.ndarray], np.ndarray]:
        try:
            _take(folder, names)
        except Unusable as reason:
            if str(reason):
                say(f"{folder} {reason}: converted again")
        with explain(folder):
            discard(folder)
            _fill(folder, title, moments, crop, num_points, names)
        return read_back(folder, lambda: _take(folder, names))

    return obtain(places, f"frames/{name}", title, lambda folder: _take(folder, names), make)


def _take(folder: Path, names: tuple[str, ...]) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """What was converted, every byte checked. Raises `Unusable`; with "" if there is nothing."""
    facts = read_plain(folder / COMPLETE)
    if facts is None:
        raise Unusable("")
    if isinstance(facts, dict) and "arrays" not in facts:
        raise Unusable(EARLIER)
    found = {}
    try:
        count = int(facts["kept"])
        for name in (*names, "kept"):
            shape, dtype, total = (facts["arrays"][name][key] for key in ("shape", "dtype", "crc32"))
            array = found[name] = stored(folder, name, shape, dtype)
            place = place_in(array, slice(0, count))
            if count > len(array) or damaged(folder / f"{name}.npy", {0: place}, {0: total}):
                raise Unusable(f"has a damaged {name}.npy")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Unusable(f"has a damaged {COMPLETE}") from error
    return {name: found[name][:count] for name in names}, np.array(found["kept"])


def _fill(folder: Path, title: str, moments: list[Moment], crop: Crop, num_points: int, names: tuple[str, ...]) -> None:
    arrays: dict[str, np.ndarray] = {}
    sums = dict.fromkeys(names, 0)
    kept: list[int] = []
    with bar(title, len(moments)) as advance:
        for number, moment in enumerate(moments):
            fields = _fields(moment, crop, num_points, names)
            if fields is not None:
                for name in names:
                    value = np.ascontiguousarray(fields[name])
                    if name not in arrays:
                        arrays[name] = allocate(folder / f"{name}.npy", (len(moments), *value.shape), str(value.dtype))
                    if value.shape != arrays[name].shape[1:]:
                        raise ConfigError(
                            f"{moment.trajectory}: {name} is {value.shape}, and {arrays[name].shape[1:]} before it; "
                            "one source has images of one size"
                        )
                    arrays[name][len(kept)] = value
                    sums[name] = zlib.crc32(value.data, sums[name])
                kept.append(number)
            advance()
    if not kept:
        raise ConfigError(
            f"{title}: no moment has a point inside the crop {crop}; is it in the robot's frame, in metres?"
        )
    for array in arrays.values():
        array.flush()  # type: ignore[attr-defined]
    arrays["kept"] = np.array(kept, np.int64)
    np.save(folder / "kept.npy", arrays["kept"])
    if len(kept) < len(moments):
        say(f"{title}: {len(moments) - len(kept)} of {len(moments)} moments have no point inside the crop")
    totals = {name: f"{total:08x}" for name, total in sums.items()} | {"kept": checksum(arrays["kept"])}
    facts = {
        name: {"shape": list(array.shape), "dtype": str(array.dtype), "crc32": totals[name]}
        for name, array in arrays.items()
    }
    write_json(folder / COMPLETE, {"moments": len(moments), "kept": len(kept), "arrays": facts})


def _fields(moment: Moment, crop: Crop, num_points: int, names: tuple[str, ...]) -> dict[str, Any] | None:
    clouds, views = [], moment.views()
    for view in views:
        height, width = view.depth.shape
        back = points.BackProjection(view.intrinsics, view.extrinsics, height, width, crop)
        clouds.append(back(view.depth)[0])
    cloud = np.concatenate(clouds)
    if not len(cloud):
        return None
    chosen, valid = points.pad(cloud[points.sample(cloud, num_points, "bucket")], num_points)
    found = {"points": chosen.astype(np.float32), "points_valid": valid}
    if set(names) <= set(found):  # cameras of a fused cloud alone may have any sizes
        return found
    if len(sizes := {view.depth.shape for view in views}) > 1:
        said = ", ".join(f"{height} x {width}" for height, width in sorted(sizes))
        raise ConfigError(
            f"{moment.trajectory}: its cameras have images of {said}, and a frame of several cameras has one size of "
            "image; with cloud: each there is a frame of each camera"
        )
    return found | {
        "rgb": np.stack([v.rgb for v in views]),
        "depth": np.stack([v.depth for v in views]).astype(np.float32),
        "intrinsics": np.stack([v.intrinsics for v in views]).astype(np.float32),
        "extrinsics": np.stack([v.extrinsics for v in views]).astype(np.float32),
    }
