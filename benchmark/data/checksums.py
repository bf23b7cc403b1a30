"""Checksums of pieces of a cache's files: what was written is what is read, or it is named and made again.

crc32, because of the standard library's it is the fastest (one core: 4.0 GB/s, adler32 3.0, sha1 1.9, sha256 1.7,
blake2b 0.9, md5 0.7), and what has to be noticed is a disk's fault, not a forger's: random damage passes once in 2**32.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.data.sample_inputs import DISK, Unusable

CHUNK = 2**18
"""Bytes read at a time: they stay in the processor's cache between being read and being summed."""
SETTLED = 1.0
"""Seconds after which a file's time of change tells it from a later change, however coarse the disk's clock is."""
Place = tuple[int, int]
"""Of a piece of a file: its first byte, and how many."""
_checked: dict[Path, tuple[Any, ...]] = {}
"""File -> its state and checksums when this process found it whole; the cells of a run share their observations."""


def place_in(array: np.ndarray, rows: slice) -> Place:
    """Where rows of a memory-mapped array are in its file."""
    row = array.nbytes // max(1, len(array))
    return array.offset + rows.start * row, (rows.stop - rows.start) * row  # type: ignore[attr-defined]


def damaged(file: Path, places: Mapping[int, Place], wanted: Mapping[int, str]) -> list[int]:
    """Pieces whose bytes have another checksum than is wanted. Raises `Unusable` if the file cannot be read.

    What this process has found whole is not read again while the file has not been touched.
    """
    try:
        state = (_state(file), dict(places), dict(wanted))
        if _checked.get(file) == state:
            return []
        there = sums_of(file, places)
        bad = sorted(key for key, found in there.items() if found != wanted[key])
        if not bad and time.time() - file.stat().st_mtime > SETTLED:
            _checked[file] = state
        return bad
    except OSError as error:
        if error.errno not in DISK:
            raise
        raise Unusable(f"has a {file.name} that cannot be read ({error.strerror})") from error


def checksum(array: np.ndarray) -> str:
    """crc32 of a contiguous array's bytes, 8 hexadecimal digits."""
    return f"{zlib.crc32(array.data if array.size else b''):08x}"


def sums_of(file: Path, places: Mapping[int, Place]) -> dict[int, str]:
    """The checksum of each piece of a file. It is read, not mapped: a bad sector is an error then, not a SIGBUS."""
    buffer = memoryview(bytearray(CHUNK))
    found = {}
    with file.open("rb", buffering=0) as source:
        for key, (first, left) in sorted(places.items(), key=lambda item: item[1]):
            source.seek(first)
            total = 0
            while left and (count := source.readinto(buffer[: min(left, CHUNK)])):
                total, left = zlib.crc32(buffer[:count], total), left - count
            found[key] = f"{total:08x}" if not left else ""
    return found


def _state(file: Path) -> tuple[int, ...]:
    found = file.stat()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
