"""Demonstrations: the expert's accepted episodes of one task, of any length, one after the other in flat arrays.

They are kept as simulator states (`benchmark.data.demo_file`), and what a method sees in them is rendered from the
states later, so a new camera or modality needs no new demonstrations. A simulator that restores no state has what it
saw stored instead: there, each observation has demonstrations of its own.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from benchmark.data.episodes import Episodes
from benchmark.data.states_on_disk import StatesOnDisk

FORMAT = 1
ARRAYS = ("states", "actions", "rewards", "success", "proprio")


class DamagedDemos(ValueError):
    """A demonstration file that is truncated, altered or of another format. It is never trained on."""


@dataclass(frozen=True)
class Sensors:
    """What a simulator that restores no state saw in its demonstrations.

    request: the observation, `ObservationRequest.canonical` as JSON text. fingerprint: of the simulator and renderer
    that drew it. digests: sha256 of each demonstration's fields (`digest_of`). read: the fields (T, ...) of one
    demonstration by its number, from the file.
    """

    request: str
    fingerprint: str
    digests: tuple[str, ...]
    read: Callable[[int], dict[str, np.ndarray]] = field(repr=False, compare=False)


@dataclass(frozen=True)
class Demos:
    """Accepted episodes in the order of their attempts: the first `train` train, the rest validate.

    arrays, with a row for each of all T steps of all `episodes`: states (T, D) float64, absent where there are
    `sensors`, on the disk where they are many; actions (T, A) float32 unclipped, rewards (T,) float32, success (T,)
    bool, proprio (T, S) float32. A row is the moment before its action, success the flag after it. seeds (E,).
    """

    env: str
    env_version: str
    suite: str
    task: str
    train: int
    seeds: tuple[int, ...]
    attempts: int
    arrays: dict[str, np.ndarray]
    episodes: Episodes
    sensors: Sensors | None = None

    @functools.cached_property
    def content_hash(self) -> str:
        """sha256 of what was recorded, independent of how HDF5 packs it.

        Of episodes of one length T it is that of arrays (E, T, ...), as it always was; of others that of the flat
        arrays and the lengths.
        """
        digest = hashlib.sha256(f"{FORMAT}|{self.env_version}|{self.suite}|{self.task}|{self.train}".encode())
        digest.update(np.asarray(self.seeds, np.int64).tobytes())
        if not self.episodes.equal:
            digest.update(f"lengths|{self.episodes.lengths}".encode())
        for name in ARRAYS:
            if name in self.arrays:
                array = self.arrays[name]
                shape = array.shape
                if self.episodes.equal:
                    shape = (len(self.episodes), self.episodes.lengths[0], *shape[1:])
                digest.update(f"{name}|{array.dtype}|{shape}".encode())
                for part in self.of_each(name):
                    digest.update(np.ascontiguousarray(part).tobytes())
        if self.sensors is not None:
            drawn = self.sensors
            digest.update(f"sensors|{drawn.request}|{drawn.fingerprint}|{'|'.join(drawn.digests)}".encode())
        return digest.hexdigest()

    def of_each(self, name: str) -> list[np.ndarray]:
        """One of the arrays, episode by episode: (T, ...) each."""
        return [self.arrays[name][rows] for rows in self.episodes.spans()]

    @property
    def train_rows(self) -> int:
        """How many of the rows, the first ones, are trained on."""
        return self.episodes.first(self.train).rows

    def rows_of_every(self, stride: int) -> np.ndarray:
        """Each demonstration's first row, and every `stride`-th after it, (N,) int64."""
        return np.concatenate([np.arange(own.start, own.stop, stride) for own in self.episodes.spans()])

    def every(self, stride: int) -> Demos:
        """Every `stride`-th step; being other data, it has another hash, and its own place in every cache."""
        if stride == 1:
            return self
        rows, sensors = self.rows_of_every(stride), self.sensors
        if sensors is not None:
            sensors = dataclasses.replace(sensors, read=functools.partial(_every_frame, sensors.read, stride))
        return dataclasses.replace(
            self,
            arrays={name: _at(array, rows) for name, array in self.arrays.items()},
            episodes=Episodes(tuple(-(-length // stride) for length in self.episodes.lengths)),
            sensors=sensors,
        )


def _at(array: np.ndarray, rows: np.ndarray) -> np.ndarray:
    return array.at(rows) if isinstance(array, StatesOnDisk) else array[rows]


def _every_frame(read: Callable[[int], dict[str, np.ndarray]], stride: int, number: int) -> dict[str, np.ndarray]:
    return {name: array[::stride] for name, array in read(number).items()}


def digest_of(fields: Mapping[str, np.ndarray]) -> str:
    """sha256 of the observed fields (T, ...) of one demonstration."""
    digest = hashlib.sha256()
    for name in sorted(fields):
        array = np.ascontiguousarray(fields[name])
        digest.update(f"{name}|{array.dtype}|{array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()
