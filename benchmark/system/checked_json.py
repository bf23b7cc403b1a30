"""JSON from files that nobody vouches for: plain data, or one error that says why not."""

from __future__ import annotations

import json
import math
import os
import stat
from pathlib import Path
from typing import Any

LARGEST_FILE = 64 * 2**20
"""Bytes. A record of 10,000 rollouts an evaluation has a few megabytes."""
DEEPEST = 24
"""Nested lists and objects; a record has seven levels."""
LARGEST_NUMBER = 2**63


class NotPlain(ValueError):
    """The file cannot be taken as plain data. The message says why, as the end of a sentence."""


def read_json(path: Path) -> Any:
    """The file's content: finite numbers, text that can be printed, no deeper than `DEEPEST`. Raises `NotPlain`."""
    try:
        return check_plain(json.loads(read_bytes(path).decode(), parse_constant=_refuse))
    except UnicodeDecodeError as error:
        raise NotPlain("it is not UTF-8 text") from error
    except RecursionError as error:
        raise NotPlain("it is nested too deeply") from error
    except ValueError as error:
        raise error if isinstance(error, NotPlain) else NotPlain(f"it is no JSON ({error})") from error


def read_bytes(path: Path, largest: int = LARGEST_FILE) -> bytes:
    """The bytes of a regular file, opened so that a pipe cannot hang. Raises `NotPlain`."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | getattr(os, "O_CLOEXEC", 0))
    except (OSError, ValueError) as error:  # a null byte in its name
        raise NotPlain(_why(path, error)) from error
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):  # `fdopen` itself refuses a folder
        os.close(descriptor)
        raise NotPlain("it is a folder" if stat.S_ISDIR(status.st_mode) else "it is no regular file")
    with os.fdopen(descriptor, "rb") as file:
        if status.st_size > largest:
            raise NotPlain(f"it has {status.st_size:,} bytes; more than {largest:,} are not read")
        try:
            content = file.read()
            if content is None:  # a device that has nothing to say now
                raise NotPlain("it cannot be read to its end")
            return content
        except OSError as error:
            raise NotPlain(_why(path, error)) from error


def check_plain(data: Any) -> Any:
    """`data` itself. Raises `NotPlain` for what JSON lets through and no record may hold."""
    layer = [data]
    for _ in range(DEEPEST):
        inner: list[Any] = []
        for value in layer:
            if isinstance(value, dict):
                for key in value:
                    _check_text(key)
                inner += value.values()
            elif isinstance(value, list):
                inner += value
            else:
                _check_one(value)
        if not inner:
            return data
        layer = inner
    raise NotPlain("it is nested too deeply")


def _check_one(value: Any) -> None:
    if isinstance(value, str):
        _check_text(value)
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise NotPlain("it holds a number that is not finite")
    elif isinstance(value, int) and abs(value) >= LARGEST_NUMBER:
        raise NotPlain("it holds an integer of more than 63 bits")


def _check_text(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise NotPlain("it holds text that is no Unicode (half of a surrogate pair)") from error


def _refuse(word: str) -> Any:
    raise NotPlain(f"it holds {word}, which is no number")


def _why(path: Path, error: OSError | ValueError) -> str:
    if isinstance(error, FileNotFoundError) and path.is_symlink():
        return "it is a link that leads nowhere"
    return f"it cannot be read ({error.strerror if isinstance(error, OSError) else error})"
