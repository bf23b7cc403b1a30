"""A loop for `in_processes`, in a file that imports little: each of its processes begins by importing it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


def late_by_a_second(together: Callable[[], Any], folder: str) -> float:
    """A loop whose second process is ready a second after the first; writes down when it began."""
    try:
        Path(folder, "first").touch(exist_ok=False)
    except FileExistsError:
        time.sleep(1.0)
    together()
    Path(folder, f"{os.getpid()}.began").write_text(str(time.monotonic()))
    return 1.0
