"""CLAMP's triplets of a simulator's demonstrations: virtual views, past actions, and what a text says of the moment.

Fields of a frame beside `views` and `views_valid`: `past_actions` (50, A) as `histories` gives them; `step` int32;
`object_names` (n,) text and `object_places` (n, 3) float32, the crop's box being 0 to 1; `progress` float32, the share
of the demonstration that lies behind it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from benchmark.data.cache_places import Places
from benchmark.data.demos import Demos
from benchmark.data.observation_source import histories
from benchmark.data.observations import cache_key
from benchmark.pretrain.data.config import DataConfig
from benchmark.pretrain.data.disk_space import say_what_is_missing
from benchmark.pretrain.data.frames import VIEWS, Shard
from benchmark.pretrain.data.simulated import collected, fingerprint_of, seen
from benchmark.system.errors import ConfigError
from envs.crop import Crop, read_crop
from envs.description import describe
from envs.spec import ObservationRequest
from methods.clamp.representation import HISTORY

FORMAT = 1


@dataclass(frozen=True)
class _Part:
    """What a shard is made of: a task's demonstrations, those of their steps that are looked at, and what is seen."""

    demos: Demos
    thin: Demos
    request: ObservationRequest


def open_shards(config: DataConfig, places: Places, workers: int) -> list[Shard]:
    """One shard for each task and camera (one for each task if clouds are fused, as CLAMP fuses them).

    How much is to be rendered is known, and said, when all demonstrations are there. Raises `ConfigError` for more than
    the disk has room for, for a simulator that names no objects, and for a moment that no view shows.
    """
    check_objects(config)
    cameras = [config.cameras] if config.cloud == "fused" else [(name,) for name in config.cameras]
    fingerprint = fingerprint_of(config, request_of(config, cameras[0]))
    parts = []
    for task in config.tasks:
        demos = collected(config, task, places, workers)
        thin = demos.every(config.stride)
        parts += [_Part(demos, thin, request_of(config, chosen)) for chosen in cameras]
    say_what_is_missing(config.name, places, [(part.thin, part.request) for part in parts], fingerprint)
    shards = []
    for part in parts:
        fields = seen(places, part.thin, part.request, fingerprint, workers)
        _check(part.thin, fields["views_valid"])
        assert isinstance(part.request.crop, Crop)
        key = f"{cache_key(part.thin, part.request, fingerprint)}-{part.demos.content_hash[:16]}-triplets-{FORMAT}"
        shards.append(_shard(config, part.demos, part.request.crop, fields, key))
    return shards


def check_objects(config: DataConfig) -> None:
    """Raises `ConfigError` for a simulator that does not say which objects its `ground_truth` holds."""
    kind = describe(config.kind)
    if lacking := [task for task in config.tasks if not kind.objects(task)]:
        raise ConfigError(
            f"{config.name}: {kind.name} names no objects of {', '.join(lacking)}, whose places CLAMP's text says; its "
            "class needs `objects(task)` (envs/base.py)"
        )


def request_of(config: DataConfig, cameras: tuple[str, ...]) -> ObservationRequest:
    """With the simulator's crop and virtual cameras as numbers, so that others are other frames."""
    request = ObservationRequest(
        fields=(*VIEWS, "ground_truth"),
        cameras=cameras,
        height=config.height,
        width=config.width,
        render=config.render,
        crop=read_crop(config.crop or None),
        splat=config.splat,
        layout=config.layout,
    )
    return describe(config.kind).resolve(request)


def _check(demos: Demos, filled: np.ndarray) -> None:
    """Raises `ConfigError` for a moment of which no view shows anything."""
    for row, pixels in enumerate(filled):
        if not pixels.any():
            episode = int(demos.episodes.owners[row])
            raise ConfigError(
                f"frame {row - int(demos.episodes.starts[episode])} of demonstration {episode} of {demos.task} has an "
                "empty cloud: no virtual view shows a point; choose other cameras"
            )


def object_places(ground_truth: np.ndarray, entries: tuple[int, ...], crop: Crop) -> np.ndarray:
    """(..., G) `ground_truth` to the places of the objects that begin at these entries, (..., n, 3) float32, the crop's
    box being 0 to 1 along each axis.
    """
    low, high = np.array(crop.low), np.array(crop.high)
    places = np.stack([ground_truth[..., entry : entry + 3] for entry in entries], axis=-2)
    return ((places - low) / (high - low)).astype(np.float32)


def _shard(config: DataConfig, demos: Demos, crop: Crop, fields: Mapping[str, np.ndarray], key: str) -> Shard:
    rows = demos.rows_of_every(config.stride)
    episode = demos.episodes.owners[rows]
    step = rows - demos.episodes.starts[episode]
    last = np.maximum(np.array(demos.episodes.lengths)[episode] - 1, 1)
    kind = describe(demos.env)
    names, entries = zip(*kind.objects(demos.task), strict=True)
    return Shard(
        source=config.name,
        task=demos.task,
        instructions=(kind.instruction(demos.task),) * len(rows),
        fields={
            **{name: fields[name] for name in VIEWS},
            "past_actions": histories(demos.arrays["actions"], demos.episodes, HISTORY, rows),
            "step": step.astype(np.int32),
            "object_names": np.broadcast_to(np.array(names), (len(rows), len(names))),
            "object_places": object_places(fields["ground_truth"], entries, crop),
            "progress": (step / last).astype(np.float32),
        },
        trajectories=tuple(f"{config.name}/{demos.task}/{number}" for number in episode),
        held_out=episode >= demos.train,
        key=key,
        licence=config.licence,
    )
