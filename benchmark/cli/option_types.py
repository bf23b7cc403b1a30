"""What an option of the command line can be: numbers in a range, folders, files, words, names. One rule for each.

Each is a typer `parser`: text in, value out, `typer.BadParameter` with what is allowed. What is no text is a default.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmark.settings.bounds import Range, described, fits, shown
from envs.names import UnsafeName, safe_name

DIGITS = re.compile(r"-?[0-9]{1,30}", re.ASCII)
DECIMAL = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]+)?", re.ASCII | re.IGNORECASE)
LONGEST_NUMBER = 40
BETWEEN_0_AND_1 = Range(0, 1, above_low=True, below_high=True)


def whole(low: int, high: int) -> Callable[[Any], int]:
    """A whole number from low to high."""
    hint = Annotated[int, Range(low, high)]

    def parse(text: Any) -> int:
        if not isinstance(text, str):
            return text
        value = int(text) if DIGITS.fullmatch(text.strip()) else None
        if value is None or not fits(value, hint):
            raise _bad(text, f"it must be {described(hint)}")
        return value

    return parse


def real(allowed: Range) -> Callable[[Any], float]:
    """A finite number in the range."""
    hint = Annotated[float, allowed]

    def parse(text: Any) -> float:
        if not isinstance(text, str):
            return text
        short = text.strip()
        value = float(short) if len(short) <= LONGEST_NUMBER and DECIMAL.fullmatch(short) else None
        if value is None or not fits(value, hint):
            raise _bad(text, f"it must be {described(hint)}")
        return value

    return parse


def word(*allowed: str) -> Callable[[Any], str]:
    """One of a few words."""

    def parse(text: Any) -> str:
        if text not in allowed:
            raise _bad(text, f"it is none of {', '.join(allowed)}")
        return text

    return parse


def name(text: Any) -> str:
    """What becomes a file's or a folder's name."""
    try:
        return safe_name("the name", text, also="+=")
    except UnsafeName as error:
        raise typer.BadParameter(str(error)) from None


def folder(text: Any) -> Path:
    """A folder, there or to be made: nothing else may stand at its place, nor at that of a folder above it."""
    path = _path(text)
    for place in (path, *path.parents):
        mode = _mode(place)
        if mode is not None:
            if not stat.S_ISDIR(mode):
                raise typer.BadParameter(f"{place} is {_kind(mode)}, and no folder")
            break
    return path


def new_file(text: Any) -> Path:
    """A file to be written: no folder, device or pipe stands at its place, and its folder is there or can be made."""
    path = _path(text)
    mode = _mode(path)
    if mode is not None and not stat.S_ISREG(mode):
        raise typer.BadParameter(f"{path} is {_kind(mode)}, and no file; give the file to be written")
    if path.name in ("", "..") or str(text).endswith(os.sep):
        raise typer.BadParameter(f"{path} is a folder, and no file; give the file to be written")
    folder(path.parent)
    return path


def repository(text: Any) -> str:
    """OWNER/NAME on the Hugging Face Hub."""
    part = r"[A-Za-z0-9][\w.-]{0,95}"
    if not re.fullmatch(f"{part}/{part}", text, re.ASCII):
        raise _bad(text, "give OWNER/NAME, of A-Z a-z 0-9 . _ -")
    return text


def place(text: Any) -> Path:
    """A file or a folder to be written, as its verb says."""
    path = _path(text)
    folder(path.parent)
    return path


def old_file(text: Any) -> Path:
    """A file that is there: reading a pipe or a device might never end."""
    path = _path(text)
    mode = _mode(path)
    if mode is None:
        raise typer.BadParameter(f"there is no file {path}")
    if not stat.S_ISREG(mode):
        raise typer.BadParameter(f"{path} is {_kind(mode)}, and no file")
    return path


def _bad(text: str, must: str) -> typer.BadParameter:
    return typer.BadParameter(f"{shown(text)} is not allowed: {must}")


def _path(text: Any) -> Path:
    if not str(text):
        raise typer.BadParameter("it is empty; . is the folder you are in")
    if not str(text).isprintable():
        raise typer.BadParameter(f"{shown(text)} has control characters in it, which a terminal would obey")
    return Path(text)


def _mode(path: Path) -> int | None:
    """None for what is not there."""
    try:
        return path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise typer.BadParameter(f"{path}: {error.strerror}") from None


def _kind(mode: int) -> str:
    kinds = ((stat.S_ISDIR, "a folder"), (stat.S_ISREG, "a file"), (stat.S_ISFIFO, "a pipe"))
    return next((words for test, words in kinds if test(mode)), "a device")


def device(text: Any) -> str:
    """See `benchmark.settings.protocol.Runtime`."""
    from benchmark.settings.runtime import check_device
    from benchmark.system.errors import ConfigError

    try:
        check_device(text)
    except ConfigError as error:
        raise typer.BadParameter(str(error)) from None
    return text


def text_encoder(text: Any) -> str:
    """See `benchmark.settings.instructions.Language`."""
    from benchmark.settings.instructions import TEXTS

    return word(*TEXTS)(text)


def table_format(text: Any) -> str:
    """What `benchmark.report.tables.table.render` writes."""
    from benchmark.report.tables.forms import FORMATS

    return word(*FORMATS)(text)


def export_format(text: Any) -> str:
    """What `benchmark.report.export.export` writes of records, and `lerobot` of demonstrations."""
    from benchmark.report.export import FORMATS

    return word(*FORMATS, "lerobot")(text)
