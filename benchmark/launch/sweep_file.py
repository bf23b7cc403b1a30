"""A sweep's folder, OUT/sweeps/NAME: what was asked, under which code and settings, its jobs and their logs.

`sweep.json` names every cell with its record, its work folder and its identity, so that the state of a sweep can be
read without importing torch or any method. `jobs/*.json` hold the Slurm jobs of each submission.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.system.checked_json import NotPlain, read_json
from envs.errors import UserError
from envs.names import IN_LABELS, LONGEST_PART, safe_name

FORMAT = 1
MOVED = {
    "benchmark.launch.cells": "benchmark.launch.cell_work",
    "benchmark.pretrain.work": "benchmark.launch.pretrain_work",
}
"""Modules that sweeps of earlier versions name as their work, and where they are now."""


class NoSweep(UserError, FileNotFoundError):
    """There is no such sweep."""


@dataclass(frozen=True)
class Entry:
    """One cell of a sweep. record, work: absolute paths. group: cells that share demonstrations and caches. device:
    as `--device` says it; processes: that the cell starts, one a GPU.
    """

    label: str
    spec: dict[str, Any]
    record: Path
    work: Path
    identity_hash: str
    group: str
    device: str = "auto"
    processes: int = 1

    @property
    def done(self) -> bool:
        """Whether the record is there and is of these settings."""
        return self.record_facts() is not None

    def record_facts(self) -> dict[str, Any] | None:
        """The record as plain data, None if it is not there or of other settings."""
        try:
            found: Any = read_json(self.record)
            return found if found["identity_hash"] == self.identity_hash else None
        except (NotPlain, KeyError, TypeError):
            return None


@dataclass(frozen=True)
class Sweep:
    """work: the module whose `prepare(sweep, number)` and `run(sweep, number)` do a cell's work. profile: the launcher
    it was last given to. any_code: whether code other than `code` may work on it.
    """

    folder: Path
    work: str
    command: str
    code: dict[str, Any]
    any_code: bool
    profile: dict[str, Any]
    out: Path
    data: Path
    entries: tuple[Entry, ...]
    raw: dict[str, Any]

    @property
    def name(self) -> str:
        return self.folder.name

    def log(self, number: int, kind: str) -> Path:
        """Where a local job writes."""
        return self.folder / "logs" / f"{self.entries[number].label.replace('/', '.')}.{kind}.log"

    def missing(self) -> list[int]:
        """Numbers of the cells without a record."""
        return [number for number, entry in enumerate(self.entries) if not entry.done]


def load(folder: Path) -> Sweep:
    """Raises `NoSweep`."""
    try:
        return from_data(folder, read_json(folder / "sweep.json"))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise NoSweep(f"{folder} is no sweep ({type(error).__name__}: {error}); `bench status` lists them") from error


def from_data(folder: Path, data: dict[str, Any]) -> Sweep:
    entries = tuple(Entry(**{**e, "record": Path(e["record"]), "work": Path(e["work"])}) for e in data["cells"])
    work = MOVED.get(data["work"], data["work"])
    return Sweep(
        folder,
        work,
        data["command"],
        data["code"],
        data["any_code"],
        data["profile"],
        Path(data["out"]),
        Path(data["data"]),
        entries,
        data,
    )


def find(out: Path, name: str | None) -> Sweep:
    """The named sweep under OUT, or the newest. Raises `NoSweep` or `UnsafeName`."""
    root = out.resolve() / "sweeps"
    if name is not None:
        safe_name("the sweep", name, IN_LABELS, LONGEST_PART)
        if not os.path.lexists(root / name / "sweep.json"):
            there = ", ".join(file.parent.name for file in _newest_first(root)[:8]) or "none"
            raise NoSweep(f"no sweep {name} under {root}; there are: {there}")
        return load(root / name)
    made = _newest_first(root)
    if not made:
        raise NoSweep(f"no sweep under {root}; `bench sweep` makes one")
    return load(made[0].parent)


def _newest_first(root: Path) -> list[Path]:
    return sorted(root.glob("*/sweep.json"), key=lambda file: file.lstat().st_mtime, reverse=True)
