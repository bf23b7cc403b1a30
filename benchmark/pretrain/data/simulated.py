"""Frames of a simulator: its expert's demonstrations, rendered from their states for each camera."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np

from benchmark.data.cache_places import Places, in_order
from benchmark.data.collect_demos import load_or_collect
from benchmark.data.demos import Demos
from benchmark.data.observations import cache_key, load_or_render, open_pool, rendered
from benchmark.pretrain.data.config import DataConfig
from benchmark.pretrain.data.frames import CLOUD, PICTURE, Shard
from benchmark.settings.load import load_protocol
from envs.crop import read_crop
from envs.description import describe
from envs.spec import ObservationRequest

TIMEOUT = 180.0


def open_shards(config: DataConfig, places: Places, pictures: bool, workers: int) -> list[Shard]:
    """One shard for each task and camera (one for each task if clouds are fused), prepared where it is missing."""
    cameras = [config.cameras] if config.cloud == "fused" else [(name,) for name in config.cameras]
    fingerprint = fingerprint_of(config, _request(config, cameras[0], pictures))
    shards = []
    for task in config.tasks:
        demos = collected(config, task, places, workers)
        thin = demos.every(config.stride)
        for chosen in cameras:
            request = _request(config, chosen, pictures)
            fields = seen(places, thin, request, fingerprint, workers)
            shards.append(_shard(config, thin, fields, cache_key(thin, request, fingerprint)))
    return shards


def collected(config: DataConfig, task: str, places: Places, workers: int) -> Demos:
    """The expert's demonstrations of a task, recorded where they are missing; the last `held_out` are held out."""
    protocol = dataclasses.replace(
        load_protocol("clar"),
        train_demos=config.demos - config.held_out,
        valid_demos=config.held_out,
        horizon=config.horizon,
        min_success_steps=config.min_success_steps,
        max_expert_failures=config.max_expert_failures,
        stop_after_success=config.stop_after_success,
    )
    return load_or_collect(in_order(places)[0], config.suite, config.kind, task, protocol, workers)


def _request(config: DataConfig, cameras: tuple[str, ...], pictures: bool) -> ObservationRequest:
    """With the simulator's crop as numbers, so that a changed crop is other frames, rendered anew."""
    request = ObservationRequest(
        fields=CLOUD + PICTURE if pictures else CLOUD,
        cameras=cameras,
        height=config.height,
        width=config.width,
        num_points=config.num_points,
        render=config.render,
        crop=read_crop(config.crop or None),
    )
    return describe(config.kind).resolve(request)


def seen(
    places: Places, demos: Demos, request: ObservationRequest, fingerprint: str, workers: int
) -> dict[str, np.ndarray]:
    """The request's fields (n, ...) at the demonstrations' steps, rendered where they are missing."""
    fields = rendered(places, demos, request, fingerprint)
    if fields is None:
        pool, _ = open_pool(demos.env, demos.task, request, min(workers, len(demos.seeds)), None, TIMEOUT)
        with pool:
            fields = load_or_render(places, demos, request, pool, fingerprint)
    return fields


def fingerprint_of(config: DataConfig, request: ObservationRequest) -> str:
    """The simulator's and renderer's, which all tasks share. Raises `NoSimulator`, or what the simulator itself does
    where its files are missing, before a worker would.
    """
    _ = describe(config.kind).version
    pool, fingerprint = open_pool(config.kind, config.tasks[0], request, 1, None, TIMEOUT)
    pool.close()
    return fingerprint


def _shard(config: DataConfig, demos: Demos, fields: Mapping[str, np.ndarray], key: str) -> Shard:
    episode = demos.episodes.owners
    return Shard(
        source=config.name,
        task=demos.task,
        fields=fields,
        instructions=(describe(demos.env).instruction(demos.task),) * len(episode),
        trajectories=tuple(f"{config.name}/{demos.task}/{number}" for number in episode),
        held_out=episode >= demos.train,
        key=key,
        licence=config.licence,
    )
