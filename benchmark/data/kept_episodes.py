"""Episodes of an expert, each in a file until the demonstrations are whole: what a kill leaves, and what is large."""

from __future__ import annotations

import contextlib
import functools
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.data import states_on_disk
from benchmark.data.demos import ARRAYS, Sensors, digest_of
from benchmark.data.episodes import Episodes
from benchmark.data.states_on_disk import StatesOnDisk
from benchmark.system.files import discard, write_atomically
from benchmark.system.progress import say
from envs.errors import UserError
from envs.expert import OBSERVED
from envs.spec import ObservationRequest

Episode = dict[str, np.ndarray]
"""As `envs.expert.expert_episode` gives it."""


@dataclass(frozen=True)
class Known:
    """What decides of an attempt: whether it is kept, and how long it is. Its arrays are in its file."""

    successes: int
    steps: int
    failed: bool

    @classmethod
    def of(cls, episode: Episode) -> Known:
        return cls(int(episode["success"].sum()), len(episode["actions"]), bool(episode["failed"]))


def keep_episode(file: Path, episode: Episode) -> None:
    buffer = io.BytesIO()
    arrays: dict[str, Any] = dict(episode)
    np.savez(buffer, **arrays)
    write_atomically(file, lambda target: target.write(buffer.getbuffer()))


def known_of(file: Path, states: bool) -> Known | None:
    """states: whether it has to have some."""
    try:
        with np.load(file) as stored:
            found = {name: stored[name] for name in stored.files if not name.startswith(OBSERVED)}
        missing = set(ARRAYS if states else ARRAYS[1:]) - set(found)
        if missing:
            raise ValueError(f"it has no {', '.join(sorted(missing))}")
        return Known.of({"failed": np.array(False), **found})  # which files of an earlier version do not have
    except Exception as error:  # a garbled archive raises whatever its bytes happen to mean; it has checksums
        say(f"{file} is damaged ({type(error).__name__}): its episode is run again")
        discard(file)
        return None


def arrays_of(files: list[Path], episodes: Episodes, states: bool) -> dict[str, Any]:
    """Of the accepted episodes; their states stay on the disk where they are many."""

    def read(name: str, number: int) -> np.ndarray:
        with np.load(files[number]) as stored:
            return np.asarray(stored[name])

    def whole(name: str) -> np.ndarray:
        return np.concatenate([read(name, number) for number in range(len(files))])

    found: dict[str, Any] = {}
    if states:
        of_one = functools.partial(read, "states")
        width = of_one(0).shape[1]
        few = 8 * width * episodes.rows <= states_on_disk.IN_MEMORY
        found["states"] = whole("states") if few else StatesOnDisk(episodes, width, of_one)
    return found | {name: whole(name) for name in ARRAYS[1:]}


def sensors_of(request: ObservationRequest, files: list[Path]) -> Sensors:
    """What was observed in the accepted episodes, which lie beside the file that is to be written."""

    def read(number: int) -> Episode:
        with np.load(files[number]) as stored:
            return {n.removeprefix(OBSERVED): stored[n] for n in stored.files if n.startswith(OBSERVED)}

    with contextlib.ExitStack() as stack:
        drawn = {str(stack.enter_context(np.load(file))["fingerprint"]) for file in files}
    if len(drawn) > 1:
        raise UserError(
            f"{files[0].parent} has episodes that were drawn by {' and '.join(sorted(drawn))}: remove it, or go on "
            "where it was begun"
        )
    digests = tuple(digest_of(read(number)) for number in range(len(files)))
    return Sensors(json.dumps(request.canonical(), sort_keys=True), drawn.pop(), digests, read)
