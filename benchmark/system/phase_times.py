"""Seconds by phase, as a record keeps them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Clock:
    """`with clock("training"):` adds to `timings`; a phase inside another is not counted twice.

    notify: told the name of each phase that begins.
    """

    def __init__(self, timings: dict[str, float], notify: Callable[[str], None]) -> None:
        self.timings, self.notify = timings, notify
        self._inner: list[float] = []

    @contextmanager
    def __call__(self, phase: str) -> Iterator[None]:
        start = time.perf_counter()
        self.notify(phase)
        self._inner.append(0.0)
        try:
            yield
        finally:
            elapsed = time.perf_counter() - start
            self.timings[phase] = self.timings.get(phase, 0.0) + elapsed - self._inner.pop()
            if self._inner:
                self._inner[-1] += elapsed
