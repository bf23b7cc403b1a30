"""Tests. Of several processes that share them each has a core of its own, with all that it starts.

This is done here, before anything imports torch: it makes as many threads as it finds cores then, and two threads on
one core spend most of its time on waiting for each other.
"""

from __future__ import annotations

import os

WORKER = os.environ.get("PYTEST_XDIST_WORKER")
"""gw0, gw1, ...; None in a process that runs all tests."""
if hasattr(os, "sched_setaffinity") and WORKER:
    _cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {_cores[int(WORKER.removeprefix("gw")) % len(_cores)]})
