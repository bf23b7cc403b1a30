"""A copy of a user's method beside what it made, and what has changed in it since."""

from __future__ import annotations

import difflib
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
