"""Record files under a folder. Links are followed; what cannot be looked at is named, never taken for missing."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

BESIDE = (".shifts.json", ".further.json")
"""Ends of the names of files that lie beside a record (report/shifts.py, report/further.py)."""


def record_files(root: Path) -> Iterator[tuple[Path, str | None]]:
    """Every file that should be a record, sorted, and what is in the way of a folder, as the end of a sentence."""
    problems: list[OSError] = []
    entered: set[tuple[int, int]] = set()
    for folder, inner, files in os.walk(root, onerror=problems.append, followlinks=True):
        status = os.stat(folder)
        if (status.st_dev, status.st_ino) in entered:  # a link to where we have been, or a circle of them
            inner.clear()
            continue
        entered.add((status.st_dev, status.st_ino))
        inner[:] = sorted(name for name in inner if not name.startswith("."))  # a cell that is being written
        odd = [name for name in inner if name.endswith(".json")]
        for name in sorted([*files, *odd]):
            if name.endswith(".json") and not name.startswith(".") and not name.endswith(BESIDE):
                yield Path(folder, name), None
    for problem in problems:
        yield Path(os.fsdecode(problem.filename or root)), f"it cannot be looked into ({problem.strerror})"
