"""What a sweep's cells have written, wherever they ran."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from benchmark.launch import slurm
from benchmark.launch.sweep_file import NoSweep, Sweep

MOST_NAMED = 6
"""Cells in a message."""


def find_cell(sweep: Sweep, text: str) -> int:
    """The number of the one cell whose label contains `text`. Raises `NoSweep` naming some if it is not one."""
    matching = [number for number, entry in enumerate(sweep.entries) if text in entry.label]
    matching = [n for n in matching if sweep.entries[n].label == text] or matching
    if len(matching) != 1:
        known = [sweep.entries[n].label for n in (matching or range(len(sweep.entries)))]
        labels = ", ".join([*known[:MOST_NAMED], *(["..."] if len(known) > MOST_NAMED else [])])
        if not matching:
            raise NoSweep(f"no cell of {sweep.name} has '{text}' in its label; there are {labels}")
        raise NoSweep(f"{len(matching)} cells of {sweep.name} have '{text}' in their labels; give one of {labels}")
    return matching[0]


def logs_of(sweep: Sweep, number: int) -> list[Path]:
    """Its files: of local jobs, of Slurm jobs, and the traceback of its last failure."""
    entry = sweep.entries[number]
    found = [sweep.log(number, kind) for kind in ("prepare", "run")] + slurm.logs_of(sweep, number)
    return [file for file in [*found, entry.work / "error.txt"] if file.exists() and file.stat().st_size]


def follow_logs(sweep: Sweep, number: int, write: Callable[[str], None], poll: float = 0.5) -> None:
    """Write what is there and what comes, until the record is there or Ctrl-C."""
    seen: dict[Path, int] = {}
    while True:
        done = sweep.entries[number].done
        for file in logs_of(sweep, number):
            with file.open("rb") as handle:
                handle.seek(seen.get(file, 0))
                text = handle.read()
            if file not in seen:
                write(f"== {file}")
            seen[file] = seen.get(file, 0) + len(text)
            if text:
                write(text.decode(errors="replace").rstrip("\n"))
        if done:
            return
        time.sleep(poll)
