"""Frames of RLBench demonstrations for pre-training; `benchmark.data.rlbench_files` reads them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmark.data.cache_places import Places
from benchmark.data.rlbench_files import Episode, find_episodes
from benchmark.pretrain.data.config import DataConfig
from benchmark.pretrain.data.conversion import Moment, convert
from benchmark.pretrain.data.frames import Shard
from envs.crop import Crop
from envs.recorded_views import View

FORMAT = 1


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
