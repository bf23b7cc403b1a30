"""A task of a cell, ready to be learned and played: its demonstrations and its simulators."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from benchmark.cell import Cell, Paths
from benchmark.data.demos import Demos, load_or_collect
from benchmark.data.observations import open_pool
from envs.pool import Pool
from envs.spec import ObservationRequest


@dataclass(frozen=True)
class Stage:
    """fingerprint: of the simulator and renderer in `pool`."""

    task: str
    demos: Demos
    pool: Pool
    fingerprint: str


def load_demos(cell: Cell, paths: Paths, workers: int) -> list[Demos]:
    """Of each of the cell's tasks, collected if they are not there."""
    suite, protocol, python = cell.settings.suite, cell.settings.protocol, cell.settings.env_python
    return [load_or_collect(paths.data, suite.name, suite.env, task, protocol, workers, python) for task in cell.tasks]


def join_hashes(demos: Sequence[Demos]) -> str:
    """The demonstrations' own hash; of several tasks, the hash of theirs."""
    hashes = [one.content_hash for one in demos]
    return hashes[0] if len(hashes) == 1 else hashlib.sha256("|".join(hashes).encode()).hexdigest()


@contextmanager
def open_stages(cell: Cell, demos: Sequence[Demos], workers: int) -> Iterator[list[Stage]]:
    """`workers` simulators of each task; those of one task are busy at a time."""
    with ExitStack() as stack:
        stages = []
        for task, own in zip(cell.tasks, demos, strict=True):
            pool, fingerprint = open_simulators(cell, task, cell.request, workers)
            stages.append(Stage(task, own, stack.enter_context(pool), fingerprint))
        yield stages


def open_simulators(cell: Cell, task: str, request: ObservationRequest, workers: int) -> tuple[Pool, str]:
    """A pool for one task of the cell and its fingerprint."""
    settings = cell.settings
    return open_pool(
        settings.suite.env, task, request, workers, settings.env_python, settings.runtime.worker_timeout
    )  # fmt: skip
