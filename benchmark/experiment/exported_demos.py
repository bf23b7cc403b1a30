"""A suite's demonstrations as a LeRobotDataset v3 folder, which others' training code reads.

The folder is whole, or not there: it is written under another name beside its place, and what is finished there is
kept, task by task, until the same command goes on with it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from benchmark.data.collect_demos import load_or_collect
from benchmark.data.demos import Demos
from benchmark.data.lerobot import part as parts
from benchmark.data.lerobot.dataset import read_dataset
from benchmark.data.lerobot.frames import Timing, pieces, timing
from benchmark.data.lerobot.layout import Feature, arrow, features_of
from benchmark.data.lerobot.part import Part
from benchmark.data.lerobot.video import encoder
from benchmark.data.lerobot.whole import finish
from benchmark.data.observations import draw, open_pool, rendered
from benchmark.records.paths import Paths
from benchmark.settings.machine import resolve_workers
from benchmark.settings.settings import Settings
from benchmark.system.errors import ConfigError
from benchmark.system.files import discard, exclusive, explain
from benchmark.system.progress import say
from envs.camera_sizes import short_names
from envs.pictures import each_picture
from envs.pool import EnvConfig, Pool
from envs.spec import ObservationRequest

T = TypeVar("T")


@dataclass(frozen=True)
class Exported:
    """What was written. left_out: what the data set does not have, in words, or ""."""

    folder: Path
    episodes: int
    frames: int
    timing: Timing
    left_out: str


def export_demos(
    settings: Settings, tasks: Sequence[str], paths: Paths, folder: Path, frame_rate: int | None = None
) -> Exported:
    """Write the tasks' demonstrations to `folder`; those that are not there are collected.

    Images are of the suite's cameras, drawn as `suite.observation` says. frame_rate: frames a second, a divisor of
    the simulator's steps a second, None for every step. Raises `ConfigError` for a folder that is there, for what the
    format cannot hold, and where its packages are missing.
    """
    if os.path.lexists(folder):
        raise ConfigError(f"{folder} is there already; give a folder that is not, or remove it")
    env = settings.simulator()
    said = timing(env.control_rate, frame_rate, env.name)
    request = settings.request(("rgb",) if "rgb" in env.provides else (), None)
    seen = _pictures(request) if "rgb" in request.fields else {}
    features = features_of(env.proprio_names, env.action_spec.names, seen)
    arrow()
    if seen:
        encoder()
    unfinished = folder.parent / f".{folder.name}.unfinished"
    with exclusive(unfinished / "lock", f"the export to {folder}", wait=False):
        try:
            done = _write(settings, tasks, paths, unfinished, (request, said, features))
            read_dataset(unfinished)
        except BaseException:
            if not any((unfinished / parts.NOTES).glob("*.json")):
                discard(unfinished)  # nothing in it is worth keeping
            raise
        for file in ("lock", "lock.holder"):
            discard(unfinished / file)
        with explain(folder):
            unfinished.rename(folder)
    left_out = "" if seen else f"{env.name} draws no images, so it has no videos"
    return Exported(folder, *done, said, left_out)


def _pictures(request: ObservationRequest) -> dict[str, tuple[int, int]]:
    """(height, width) of each camera by what it is called in the data set. Raises `ConfigError` for one name of two."""
    found: dict[str, tuple[int, int]] = {}
    for name, camera in zip(short_names(request.cameras), request.cameras, strict=True):
        label = "".join(c if c.isalnum() or c in "_-@=" else "-" for c in name)  # LeRobot: no slash; a dot divides
        if label in found:
            raise ConfigError(f"two cameras would be called {label} in the data set; choose others")
        found[label] = request.size_of(camera)
    return found


def _write(
    settings: Settings,
    tasks: Sequence[str],
    paths: Paths,
    folder: Path,
    plan: tuple[ObservationRequest, Timing, tuple[Feature, ...]],
) -> tuple[int, int]:
    """Everything but the folder's name. Returns how many episodes and frames there are."""
    request, said, features = plan
    env, suite = settings.simulator(), settings.suite
    sentences: dict[str, int] = {}
    made, notes, facts = list[Part](), list[dict[str, Any]](), dict[str, Any]()
    episode = frame = 0
    for number, task in enumerate(tasks):
        demos = _demos(settings, paths, task, request)
        told = [_sentence(settings, task, one) for one in range(len(demos.seeds))]
        numbers = [sentences.setdefault(sentence, len(sentences)) for sentence in told]
        with _drawing(settings, demos, request) as (pool, fingerprint):
            origin = {"request": request.canonical(), "fingerprint": fingerprint}
            part = Part(demos, number, episode, frame, numbers, said, features, origin)
            note = parts.finished(part, folder)
            if note is not None:
                say(f"{task} was exported already, before this command was stopped")
            else:
                note = parts.write(part, folder, _frames(demos, request, pool, fingerprint, said.every, paths))
        made.append(part)
        notes.append(note)
        facts[task] = {"sha256": demos.content_hash, "simulator": demos.env_version, "fingerprint": fingerprint}
        episode, frame = episode + len(part.lengths), frame + sum(part.lengths)
    own = {
        "repbench": metadata.version("repbench"),
        "suite": suite.name,
        "protocol": settings.protocol.name,
        "simulator": env.versions(),
        "observation": request.canonical(),
        "steps_a_second": said.rate,
        "every": said.every,
        "frames": said.said(),
        "action_unit": env.action_spec.unit,
        "tasks": facts,
    }
    finish(folder, made, notes, list(sentences), env.name, own)
    return episode, frame


def _demos(settings: Settings, paths: Paths, task: str, request: ObservationRequest) -> Demos:
    """Raises `SpecMismatch` where a simulator that restores no state has not stored these images."""
    suite, stored = settings.suite, request if settings.simulator().restorable else settings.stored(request)
    workers = resolve_workers(settings.runtime)
    rules = settings.of_task(task)
    return load_or_collect(paths.data, suite.name, suite.env, task, rules, workers, settings.env_python, stored)


def _sentence(settings: Settings, task: str, number: int) -> str:
    """What the episode is told, as in training on it."""
    language = settings.suite.language
    return language.of_demonstration(task, number) if language else settings.simulator().instruction(task)


@contextmanager
def _drawing(settings: Settings, demos: Demos, request: ObservationRequest) -> Iterator[tuple[Pool, str]]:
    """The simulators that draw, and their fingerprint. None are started where nothing is drawn."""
    suite, runtime, python = settings.suite, settings.runtime, settings.env_python
    if demos.sensors is not None or "rgb" not in request.fields:
        drawn_by = demos.sensors.fingerprint if demos.sensors else "no images"
        yield Pool(EnvConfig(suite.env, demos.task, request, python), 0), drawn_by
        return
    pool, fingerprint = open_pool(
        suite.env, demos.task, request, resolve_workers(runtime), python, runtime.worker_timeout
    )
    with pool:
        yield pool, fingerprint


def _frames(
    demos: Demos, request: ObservationRequest, pool: Pool, fingerprint: str, every: int, paths: Paths
) -> Iterator[list[np.ndarray]]:
    """The images of each frame, from the cache where a run has put them there; nothing is put there."""
    if "rgb" not in request.fields:
        return
    spans = list(pieces(demos, every))
    stored = None
    if demos.sensors is None:
        stored = rendered(paths.caches, demos, request, fingerprint, pool.config.python)
    for fields in _in_order(draw(demos, spans, request, pool)) if stored is None else _cut(stored, spans):
        for row in range(len(next(iter(fields.values())))):
            yield each_picture("rgb", {name: array[row] for name, array in fields.items()})


def _cut(fields: dict[str, np.ndarray], spans: Sequence[slice]) -> Iterator[dict[str, np.ndarray]]:
    return ({name: array[span] for name, array in fields.items()} for span in spans)


def _in_order(found: Iterator[tuple[int, T]]) -> Iterator[T]:
    """By their numbers, which are 0, 1, 2, ... in any order."""
    waiting: dict[int, T] = {}
    following = 0
    for number, value in found:
        waiting[number] = value
        while following in waiting:
            yield waiting.pop(following)
            following += 1
