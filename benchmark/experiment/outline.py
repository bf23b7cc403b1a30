"""What a dry run says of more cells than one command takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmark.experiment.count_cells import MOST_CELLS, count_cells, too_many
from benchmark.settings.settings import Settings


def outline(
    settings: Settings, tasks: list[str] | None, methods: list[str], seeds: Sequence[int], weights: str | None
) -> dict[str, Any] | None:
    """What a dry run says of more cells than a command takes: counts, the first and the last; None for fewer.

    Raises what `make_cells` raises for the first seed and the last.
    """
    count = count_cells(settings, tasks, methods, seeds)
    if count <= MOST_CELLS:
        return None
    from benchmark.experiment.make_cells import make_cells

    ends = make_cells(settings, tasks, methods, list(dict.fromkeys((seeds[0], seeds[-1]))), weights)
    found = {
        "cells": count,
        "tasks": len(settings.suite.cells(tasks)),
        "methods": len(methods),
        "seeds": len(seeds),
        "first": ends[0].label,
        "last": ends[-1].label,
        "most": MOST_CELLS,
    }
    text = (
        f"{found['tasks']} tasks x {found['methods']} methods x {found['seeds']:,} seeds\n  first {found['first']}\n"
        f"  last  {found['last']}\n{too_many(count)}"
    )
    return found | {"text": text}
