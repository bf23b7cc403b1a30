"""What is made in a thread while whoever asked for it works on what came before."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from typing import TypeVar

T = TypeVar("T")
DEPTH = 3
"""How many are made ahead."""


def read_ahead(items: Iterator[T]) -> Iterator[T]:
    """The items in their order. What making one raises is raised here. Whoever stops early stops the thread."""
    ready: queue.Queue[tuple[T | None, BaseException | None, bool]] = queue.Queue(DEPTH)
    stop = threading.Event()

    def put(item: T | None, error: BaseException | None = None, last: bool = False) -> None:
        while not stop.is_set():
            try:
                ready.put((item, error, last), timeout=0.2)
                return
            except queue.Full:
                continue

    def work() -> None:
        try:
            for item in items:
                put(item)
                if stop.is_set():
                    return
            put(None, last=True)
        except BaseException as error:  # handed to whoever waits for it
            put(None, error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        while True:
            item, error, last = ready.get()
            if error is not None:
                raise error
            if last:
                return
            yield item  # type: ignore[misc]
    finally:
        stop.set()
        thread.join()
