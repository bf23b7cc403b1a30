"""CLAMP's triplets of MetaWorld's demonstrations: virtual views, past actions, and what a text says of the moment.

Fields of a frame beside `views` and `views_valid`: `past_actions` (50, A) as `histories` gives them; `step` int32;
`object_names` (n,) text and `object_places` (n, 3) float32, the crop's box being 0 to 1; `progress` float32, the share
of the demonstration that lies behind it.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from benchmark.data.cache_places import Places
from benchmark.data.demos import Demos
from benchmark.data.observation_source import histories
from benchmark.data.observations import cache_key
from benchmark.pretrain.data.config import DataConfig
from benchmark.pretrain.data.frames import VIEWS, Shard
from benchmark.pretrain.data.metaworld import collected, fingerprint_of, seen
from benchmark.system.errors import ConfigError
from envs.description import describe
from envs.metaworld_objects import OBJECTS, object_places
from envs.spec import Crop, ObservationRequest
from methods.clamp.representation import HISTORY

FORMAT = 1


def open_shards(config: DataConfig, places: Places, workers: int) -> list[Shard]:
    """One shard for each task and camera (one for each task if clouds are fused, as CLAMP fuses them)."""
    cameras = [config.cameras] if config.cloud == "fused" else [(name,) for name in config.cameras]
    fingerprint = fingerprint_of(config, _request(config, cameras[0]))
    shards = []
    for task in config.tasks:
        demos = collected(config, task, places, workers)
        for chosen in cameras:
            thin, request = demos.every(config.stride), _request(config, chosen)
            fields = seen(places, thin, request, fingerprint, workers)
            _check(thin, fields["views_valid"])
            key = f"{cache_key(thin, request, fingerprint)}-{demos.content_hash[:16]}-triplets-{FORMAT}"
            assert isinstance(request.crop, Crop)
            shards.append(_shard(config, demos, request.crop, fields, key))
    return shards


def _request(config: DataConfig, cameras: tuple[str, ...]) -> ObservationRequest:
    """With the simulator's crop and virtual cameras as numbers, so that others are other frames."""
    request = ObservationRequest(
        fields=(*VIEWS, "ground_truth"),
        cameras=cameras,
        height=config.height,
        width=config.width,
        render=config.render,
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


def _shard(config: DataConfig, demos: Demos, crop: Crop, fields: Mapping[str, np.ndarray], key: str) -> Shard:
    rows = demos.rows_of_every(config.stride)
    episode = demos.episodes.owners[rows]
    step = rows - demos.episodes.starts[episode]
    last = np.maximum(np.array(demos.episodes.lengths)[episode] - 1, 1)
    low, high = np.array(crop.low), np.array(crop.high)
    places = (object_places(demos.task, fields["ground_truth"]) - low) / (high - low)
    names = np.broadcast_to(np.array(OBJECTS[demos.task]), (len(rows), len(OBJECTS[demos.task])))
    return Shard(
        source=config.name,
        task=demos.task,
        instructions=(describe(demos.env).instruction(demos.task),) * len(rows),
        fields={
            **{name: fields[name] for name in VIEWS},
            "past_actions": histories(demos.arrays["actions"], demos.episodes, HISTORY, rows),
            "step": step.astype(np.int32),
            "object_names": names,
            "object_places": places.astype(np.float32),
            "progress": (step / last).astype(np.float32),
        },
        trajectories=tuple(f"{config.name}/{demos.task}/{number}" for number in episode),
        held_out=episode >= demos.train,
        key=key,
        licence=config.licence,
    )
