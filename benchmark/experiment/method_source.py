"""A copy of a user's method beside what it made, and what has changed in it since."""

from __future__ import annotations

import difflib
import re
import shlex
from collections.abc import Mapping
from pathlib import Path

from benchmark.system.files import discard, write_atomically

SHOWN = 8
"""Lines of a difference in a message."""


def source_folder(record: Path) -> Path:
    """`mlp-s0.source/` beside `mlp-s0.json`."""
    return record.with_suffix(".source")


def keep_source(texts: Mapping[str, str], folder: Path) -> None:
    """Write the files behind a method, in place of what was kept there; nothing for a shipped method."""
    discard(folder)
    for name, text in texts.items():
        write_atomically(folder / name, lambda file, text=text: file.write(text.encode()))  # type: ignore[misc]


def read_source(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_text(errors="replace") for path in files}


def changed_files(old: Mapping[str, str], new: Mapping[str, str]) -> list[str]:
    return [name for name in sorted({*old, *new}) if old.get(name) != new.get(name)]


def first_lines(old: Mapping[str, str], new: Mapping[str, str]) -> str:
    """The beginning of a unified difference of all files, `-` as it was, `+` as it is; empty if there is none."""
    lines: list[str] = []
    for name in changed_files(old, new):
        then, now = (text.get(name, "").splitlines() for text in (old, new))
        lines += difflib.unified_diff(then, now, f"{name} then", f"{name} now", n=0, lineterm="")
    more = [f"  ... {len(lines) - SHOWN} more lines"] if len(lines) > SHOWN else []
    return "\n".join([f"  {line}" for line in lines[:SHOWN]] + more)


def edited_since(record: Path, command: str) -> list[str]:
    """Files of a user's method that are not what they were when the record was made, seen from this folder.

    command: what made it, which names the file. One that is not found from here is not judged, and nothing is run.
    """
    if not source_folder(record).is_dir():
        return []
    kept = read_source(source_folder(record))
    try:
        words = [word for part in shlex.split(command) for word in part.split(",")]
    except ValueError:
        return []
    found = []
    for file in (Path(match[1]) for word in words if (match := re.fullmatch(r"(.+\.py):\w+", word))):
        here = {name: file.parent / name for name in kept} if file.name in kept else {}
        if file.is_file():
            found += [name for name, path in here.items() if not path.is_file() or _text(path) != kept[name]]
    return sorted(set(found))


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
