"""A cache entry's arrays, part by part (a demonstration, a batch of frames), each part with a checksum of its bytes."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from benchmark.data.checksums import checksum, damaged, place_in
from benchmark.data.episodes import Episodes
from benchmark.data.sample_inputs import DISK, Unusable, stored
from benchmark.system.files import StorageError, allocate, discard, explain, write_json
from benchmark.system.progress import say

DONE = "done.json"
COMPLETE = "complete.json"
EARLIER = "was made by an earlier version, without checksums"

T = TypeVar("T")
Sums = dict[int, dict[str, str]]
"""Part -> array -> checksum."""
Check = Callable[[Mapping[str, np.ndarray], Sums], None]


@dataclass(frozen=True)
class Found:
    """What of an entry can be used. good: parts that are whole; damage: which are not, in words, or ""; whole: all."""

    good: Sums
    damage: str
    whole: bool


@dataclass(frozen=True)
class Parts:
    """The arrays `shapes` (T, ...) in `folder`; `pieces` says which rows are a part.

    `done.json` has the checksums of the parts that are finished, `complete.json` is there when all are. part: what to
    call one.
    """

    folder: Path
    shapes: Mapping[str, tuple[int, ...]]
    dtypes: Mapping[str, str]
    pieces: Episodes
    part: str = "demonstration"

    @property
    def count(self) -> int:
        return len(self.pieces)

    def span(self, part: int) -> slice:
        return self.pieces.span(part)

    def spans(self, parts: Iterable[int]) -> list[slice]:
        """The rows of some parts."""
        return [self.span(part) for part in parts]

    def allocate(self) -> dict[str, np.ndarray]:
        """An entry from nothing. What was there is gone."""
        with explain(self.folder):
            discard(self.folder)
        return {
            name: allocate(self.folder / f"{name}.npy", size, self.dtypes[name]) for name, size in self.shapes.items()
        }

    def open(self, mode: str = "r") -> dict[str, np.ndarray]:
        """Memory maps. Raises `Unusable` if a file is not an array of its shape."""
        return {name: stored(self.folder, name, size, self.dtypes[name], mode) for name, size in self.shapes.items()}

    def examine(self, facts: Any) -> Found:
        """Check every byte of what is there against its checksum. Raises `Unusable` if none of it can be gone on with.

        facts: what `complete.json` holds, if it is there.
        """
        complete, done = read_plain(self.folder / COMPLETE), self._done()
        if complete is not None and complete != json.loads(json.dumps(facts)):
            raise Unusable(f"has a damaged {COMPLETE}")
        if complete is not None and not done:
            raise Unusable(f"has no {DONE} that names its parts")
        if not done:
            return Found({}, "", False)
        bad = {}
        for name, array in self.open().items():
            places = {part: place_in(array, self.span(part)) for part in done}
            bad[name] = damaged(self.folder / f"{name}.npy", places, {part: sums[name] for part, sums in done.items()})
        absent = [part for part in range(self.count) if part not in done] if complete is not None else []
        said = [f"{name}.npy: {self._named(parts)}" for name, parts in bad.items() if parts]
        said += [f"{DONE}: {self._named(absent)}"] if absent else []
        good = {part: sums for part, sums in done.items() if not any(part in parts for parts in bad.values())}
        return Found(good, f"is damaged ({'; '.join(said)})" if said else "", complete is not None and not said)

    def write(self, arrays: Mapping[str, np.ndarray], done: Sums, part: int, values: Mapping[str, np.ndarray]) -> None:
        """Write one part (rows, ...) of every array and note it in `done`, on the disk too."""
        sums = {}
        for name, array in arrays.items():
            rows = np.ascontiguousarray(values[name], array.dtype)
            array[self.span(part)] = rows
            sums[name] = checksum(rows)
            array.flush()  # type: ignore[attr-defined]
        done[part] = sums
        write_json(self.folder / DONE, done)

    def _named(self, parts: list[int]) -> str:
        more = f" and {len(parts) - 8} more" if len(parts) > 8 else ""
        return f"{self.part} {', '.join(map(str, parts[:8]))}{more}"

    def _done(self) -> Sums | None:
        """What `done.json` says; None if it is not there. Raises `Unusable`."""
        data = read_plain(self.folder / DONE)
        if data is None:
            return None
        if isinstance(data, list | int):
            raise Unusable(EARLIER)
        names = set(self.shapes)
        known = {str(part): part for part in range(self.count)}
        if not isinstance(data, dict) or not all(
            key in known and isinstance(sums, dict) and set(sums) == names for key, sums in data.items()
        ):
            raise Unusable(f"has a damaged {DONE}")
        return {known[key]: sums for key, sums in data.items()}


def whole(parts: Parts, facts: Any) -> dict[str, np.ndarray]:
    """The arrays of an entry that is complete and has no damage. Raises `Unusable`; with "" if it is not complete."""
    found = parts.examine(facts)
    if not found.whole:
        raise Unusable(found.damage)
    return parts.open()


def resume(parts: Parts, facts: Any, again: str, check: Check | None = None) -> tuple[dict[str, np.ndarray], Sums]:
    """The arrays to write to and which of their parts are there. What is damaged is named; `again`: what is done to it.

    check: of the parts that are whole, whether they are still right; raises `Unusable` if not, and then none is kept.
    Until all is there once more the entry is not complete, so that a kill leaves nothing that looks whole.
    """
    said, good = [], Sums()
    try:
        found = parts.examine(facts)
        said.append(found.damage)
        if found.good and check is not None:
            check(parts.open(), found.good)
        good = found.good
    except Unusable as reason:
        said.append(str(reason))
    if any(said):
        say(f"{parts.folder} {' and '.join(filter(None, said))}: {again}")
    if not good:
        return parts.allocate(), {}
    with explain(parts.folder):
        discard(parts.folder / COMPLETE)
        write_json(parts.folder / DONE, good)
        return parts.open("r+"), good


def finish(parts: Parts, facts: Any) -> dict[str, np.ndarray]:
    """Say that all parts are there, and read them back. Raises `StorageError` if they are not what was written."""
    write_json(parts.folder / COMPLETE, facts)
    return read_back(parts.folder, lambda: whole(parts, facts))


def read_back(folder: Path, take: Callable[[], T]) -> T:
    """What `take` gives of an entry just made. Raises `StorageError`: making it once more would not help."""
    try:
        return take()
    except Unusable as reason:
        raise StorageError(
            f"{folder} {reason} right after it was written: do not trust this disk; choose another with --data"
        ) from reason


def read_plain(file: Path) -> Any | None:
    """The JSON in a file of a cache, None if there is no such file. Raises `Unusable`."""
    if not os.path.lexists(file):
        return None
    try:
        if not file.is_file():
            raise Unusable(f"has a {file.name} that is no file")
        return json.loads(file.read_text())
    except (OSError, ValueError, RecursionError) as error:
        if isinstance(error, OSError) and error.errno not in DISK:
            raise
        raise Unusable(f"has a damaged {file.name}") from error
