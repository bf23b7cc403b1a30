"""How many cells were asked for, before any of them is made: a range of seeds may be of any length."""

from __future__ import annotations

from collections.abc import Sequence

from benchmark.settings.settings import Settings
from benchmark.system.errors import ConfigError

MOST_CELLS = 10_000
"""Cells of one command. Each is held in memory, and in a sweep's file."""


def count_cells(settings: Settings, tasks: list[str] | None, methods: Sequence[str], seeds: Sequence[int]) -> int:
    """Raises `UnknownName` for a task that the suite has not."""
    return len(settings.suite.cells(tasks)) * len(methods) * len(seeds)


def too_many(count: int) -> str:
    return f"{count:,} cells are too many for one command, which takes {MOST_CELLS:,}: give fewer --seeds or --tasks"


def refuse_too_many(settings: Settings, tasks: list[str] | None, methods: Sequence[str], seeds: Sequence[int]) -> None:
    """Raises `ConfigError`, or `UnknownName` for a task that the suite has not."""
    if (count := count_cells(settings, tasks, methods, seeds)) > MOST_CELLS:
        raise ConfigError(too_many(count))
