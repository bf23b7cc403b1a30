"""A few inputs kept beside what was computed from them, so that what a cache holds can be held against present code.

A cache's key names weights and settings; it cannot name every line of code that made the content. So the inputs of a
frame or two are stored with it, and whoever takes the content computes those frames again first.
"""

from __future__ import annotations

import dataclasses
import errno
import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np

from benchmark.system.files import write_atomically

NAME = "kept.npz"
ROWS = "rows of the kept inputs"
"""Their key in the file; no field has blanks in its name."""
DISK = (errno.EIO, errno.EACCES, errno.EPERM, errno.ENOENT, errno.ESTALE)
"""Errors that are of this file, and not of a machine that has run out of something."""


class Unusable(Exception):
    """What is in a cache's folder is not to be used. The message says why, as the end of a sentence."""


@dataclasses.dataclass(frozen=True)
class Kept:
    """inputs: each field (len(rows), ...), as it was encoded; rows: where they stand in the cache."""

    rows: tuple[int, ...]
    inputs: dict[str, np.ndarray]

    @classmethod
    def of(cls, fields: Mapping[str, np.ndarray], rows: Sequence[int]) -> Kept:
        """The inputs of `rows` of fields (T, ...)."""
        return cls(tuple(rows), {name: np.stack([array[row] for row in rows]) for name, array in fields.items()})

    def within(self, pieces: Collection[slice]) -> Kept:
        """Those whose row is in one of these pieces of the cache."""
        chosen = [n for n, row in enumerate(self.rows) if any(piece.start <= row < piece.stop for piece in pieces)]
        return Kept(tuple(self.rows[n] for n in chosen), {name: array[chosen] for name, array in self.inputs.items()})


def keep(folder: Path, kept: Kept) -> None:
    """Store some frames' inputs in the cache's folder."""
    parts = {**kept.inputs, ROWS: np.array(kept.rows, np.int64)}
    write_atomically(folder / NAME, lambda file: np.savez(file, **parts))  # type: ignore[arg-type]


def recall(folder: Path) -> Kept:
    """What `keep` stored. Raises `Unusable`."""
    if os.path.lexists(folder / NAME) and not (folder / NAME).is_file():
        raise Unusable(f"has a {NAME} that is no file")
    try:
        with np.load(folder / NAME, allow_pickle=False) as file:
            found = {name: file[name] for name in file.files}
        rows = tuple(int(row) for row in found.pop(ROWS))
        if not rows or any(len(array) != len(rows) for array in found.values()):
            raise ValueError("it does not hold what was kept")
    except FileNotFoundError:
        raise Unusable(f"has no {NAME}") from None
    except Exception as error:  # a garbled archive raises whatever its bytes happen to mean
        raise Unusable(f"has a damaged {NAME} ({type(error).__name__})") from error
    return Kept(rows, found)


def stored(folder: Path, name: str, shape: Sequence[int], dtype: str, mode: str = "r") -> np.memmap:
    """One array of a cache as a memory map, if it is what was written there. Raises `Unusable`."""
    file = folder / f"{name}.npy"
    if not os.path.lexists(file):
        raise Unusable(f"has no {name}.npy")
    if not file.is_file():  # opening a pipe would wait for ever
        raise Unusable(f"has a {name}.npy that is no file")
    try:
        array = np.lib.format.open_memmap(file, mode=mode)
    except OSError as error:
        if error.errno not in DISK or mode != "r":
            raise
        raise Unusable(f"has a {name}.npy that cannot be read ({error.strerror})") from error
    except Exception as error:  # cut off, or no array at all: a garbled header raises whatever its bytes happen to mean
        raise Unusable(f"has a damaged {name}.npy ({type(error).__name__})") from error
    if array.shape != tuple(shape) or array.dtype != np.dtype(dtype) or not array.flags.c_contiguous:
        raise Unusable(f"has a {name}.npy of {array.shape} {array.dtype} instead of {tuple(shape)} {dtype}")
    return array


def departure(there: np.ndarray, again: np.ndarray) -> float:
    """The largest difference, relative to the largest value of either; infinite for other shapes or what is no number.

    0 where both have no numbers at all.
    """
    if there.shape != again.shape:
        return float("inf")
    if not there.size:
        return 0.0
    a, b = there.astype(np.float64), again.astype(np.float64)
    scale = max(np.abs(a).max(), np.abs(b).max())
    found = float(np.abs(a - b).max() / scale) if scale else 0.0
    return found if np.isfinite(found) else float("inf")
