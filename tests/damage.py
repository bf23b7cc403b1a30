"""What disks and people do to files, for tests: each leaves something else than what was written."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np


def flip(file: Path, place: float = 0.9) -> None:
    """One bit of the byte at this share of the file."""
    with file.open("r+b") as opened:
        at = int(place * (os.path.getsize(file) - 1))
        opened.seek(at)
        (byte,) = opened.read(1)
        opened.seek(at)
        opened.write(bytes([byte ^ 0x10]))


def truncate(file: Path) -> None:
    os.truncate(file, os.path.getsize(file) * 2 // 3)


def empty(file: Path) -> None:
    os.truncate(file, 0)


def zero(file: Path) -> None:
    """What is left of a file when a machine loses its power: its length, without its content."""
    file.write_bytes(bytes(os.path.getsize(file)))


def garble(file: Path) -> None:
    file.write_bytes(np.random.default_rng(0).bytes(500))


def to_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


def to_pipe(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


def reshape(file: Path) -> None:
    file.unlink()
    with file.open("wb") as opened:
        np.save(opened, np.zeros((3, 16), np.float32))


def objects(file: Path) -> None:
    file.unlink()
    with file.open("wb") as opened:
        np.save(opened, np.array([{}, []], dtype=object), allow_pickle=True)


def nest(file: Path) -> None:
    file.write_text("[" * 100_000)


def delete(file: Path) -> None:
    if file.is_dir():
        shutil.rmtree(file)
    else:
        file.unlink()


EVERY: list[Callable[[Path], None]] = [
    flip,
    truncate,
    empty,
    zero,
    garble,
    to_folder,
    to_pipe,
    reshape,
    objects,
    nest,
    delete,
]
