"""The text of a moment (CLAMP, section III-A): the task, each object's name and normalised place, and the progress.

The paper says what is in it and gives no template, no digits and no scale of the progress; these are options.

    describe("press the button", ["button"], [[0.5123, 0.3, 0.0205]], 0.4, 3, 100)
    # "press the button; button at 0.512 0.300 0.020; progress 40"
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from envs.errors import UserError


class NoText(UserError, ValueError):
    """A frame without an instruction, or with places that are no numbers."""


def describe(
    task: str, names: Sequence[str], places: np.ndarray, progress: float, digits: int = 3, levels: int = 100
) -> str:
    """places: (n, 3), the workspace being 0 to 1 along each axis. progress: 0 to 1. levels: its largest integer."""
    if not task.strip():
        raise NoText(
            "a frame has no instruction, and CLAMP's text begins with it: give the task one, or --without text"
        )
    if not np.isfinite(places).all() or not np.isfinite(progress):
        raise NoText(f"a frame of '{task}' has an object's place or a progress that is NaN or infinite")
    objects = [
        f"{name} at {' '.join(f'{value:.{digits}f}' for value in place)}"
        for name, place in zip(names, places, strict=True)
        if name
    ]
    return "; ".join([task, *objects, f"progress {int(progress * levels + 1e-6)}"])
