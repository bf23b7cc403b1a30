"""A process ends when its work has: threads that a method's or a library's code left behind do not hold it."""

from __future__ import annotations

import os
import sys
import threading

from benchmark.system.progress import say

GRACE = 10.0
"""Seconds in which other threads may finish what they do."""


def leave(code: int) -> None:
    """To be called last, before `sys.exit(code)`: from then on the process has `GRACE` seconds to end.

    Python waits for every thread that is no daemon, without end and without a word.
    """
    left = [thread for thread in threading.enumerate() if not thread.daemon and thread is not threading.main_thread()]
    if left:
        timer = threading.Timer(GRACE, _end, [code, left])
        timer.daemon = True
        timer.start()


def _end(code: int, left: list[threading.Thread]) -> None:
    names = ", ".join(thread.name for thread in left if thread.is_alive())
    say(f"ended without waiting for threads that code of a method or a library has started ({names})")
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (AttributeError, OSError, ValueError):  # closed: there is nothing to be said any more
            continue
    os._exit(code)
