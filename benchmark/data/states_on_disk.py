"""States of more demonstrations than should lie in memory: read from their files one demonstration at a time."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import numpy as np

from benchmark.data.episodes import Episodes

IN_MEMORY = 200_000_000
"""Bytes of a task's states up to which they are held in memory."""


class StatesOnDisk:
    """As an array (T, D) float64, of which slices are arrays and chosen rows are again on the disk.

    read: the states (T, D) of one demonstration, by its number. rows: of all rows those that this has, None for all.
    """

    dtype = np.dtype(np.float64)

    def __init__(
        self, episodes: Episodes, width: int, read: Callable[[int], np.ndarray], rows: np.ndarray | None = None
    ) -> None:
        self._episodes, self._width, self._read = episodes, width, read
        self._rows = np.arange(episodes.rows) if rows is None else rows

    @property
    def shape(self) -> tuple[int, int]:
        return len(self._rows), self._width

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, rows: slice) -> np.ndarray:
        chosen = self._rows[rows]
        owners, parts = self._episodes.owners[chosen], [np.zeros((0, self._width))]
        for number in np.unique(owners):
            first = self._episodes.starts[number]
            parts.append(self._read(int(number))[chosen[owners == number] - first])
        return np.concatenate(parts)

    def at(self, rows: np.ndarray) -> StatesOnDisk:
        """Those of `rows` (N,), in rising order."""
        return StatesOnDisk(self._episodes, self._width, self._read, self._rows[rows])


States = np.ndarray | StatesOnDisk


def checked(read: Callable[[int], np.ndarray], digests: list[str], wrong: Exception) -> Callable[[int], np.ndarray]:
    """As `read`, which raises `wrong` for what is not what it was: files may be changed while a run goes on."""

    def same(number: int) -> np.ndarray:
        found = read(number)
        if digest(found) != digests[number]:
            raise wrong
        return found

    return same


def digest(states: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(states).tobytes()).hexdigest()
