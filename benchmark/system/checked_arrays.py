"""Arrays from files that nobody vouches for: numbers of the expected shape, or one line that says why not."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from benchmark.system.checked_json import NotPlain, read_bytes
from benchmark.system.errors import ConfigError

LARGEST = 2**30
"""Bytes of a file of numbers that is read at once."""


def read_numbers(path: Path, shape: tuple[int, ...], meaning: str) -> np.ndarray:
    """A .npy file of finite numbers as float64 of `shape`. Nothing in it is run. Raises `ConfigError`."""
    try:
        found = np.load(io.BytesIO(read_bytes(path, LARGEST)), allow_pickle=False)
    except (NotPlain, ValueError, EOFError, OSError, MemoryError, SyntaxError) as error:
        why = str(error) if isinstance(error, NotPlain) else f"{type(error).__name__}: {error}".splitlines()[0]
        raise ConfigError(f"{path} cannot be read ({why}); it is a .npy file of {meaning}") from error
    return as_numbers(found, shape, str(path), meaning)


def as_numbers(found: object, shape: tuple[int, ...], where: str, meaning: str) -> np.ndarray:
    """`found` as finite float64 numbers of `shape`. where: for the message. Raises `ConfigError`."""
    array = np.asarray(found) if isinstance(found, (np.ndarray, list, tuple, float, int)) else None
    if array is None or array.dtype.kind not in "fiu":
        kind = type(found).__name__ if array is None else f"an array of {array.dtype}"
        raise ConfigError(f"{where} is {kind}, no numbers; it is {meaning}, {shape}")
    if array.shape != shape:
        raise ConfigError(f"{where} is {array.shape}, not {shape}; it is {meaning}")
    bad = int((~np.isfinite(array)).sum())
    if bad:
        raise ConfigError(f"{where} has NaN or infinity in {bad} of {array.size} numbers; it is {meaning}")
    return array.astype(np.float64)
