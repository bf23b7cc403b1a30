"""A task of a cell, ready to be learned and played: its demonstrations and its simulators."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmark.data.collect_demos import demo_path, load_or_collect
from benchmark.data.demos import Demos
from benchmark.data.observations import open_pool
from benchmark.experiment.cell import Cell
from benchmark.records.paths import Paths
from benchmark.system.errors import ConfigError
from envs.pool import EnvConfig, Pool
from envs.spec import ObservationRequest


@dataclass(frozen=True)
class TaskData:
    """fingerprint: of the simulator and renderer in `pool`."""

    task: str
    demos: Demos
    pool: Pool
    fingerprint: str


def load_demos(cell: Cell, paths: Paths, workers: int) -> list[Demos]:
    """Of each of the cell's tasks, collected if they are not there."""
    settings, suite = cell.settings, cell.settings.suite
    return [
        load_or_collect(
            paths.data, suite.name, suite.env, task, settings.of_task(task), workers, settings.env_python, _stored(cell)
        )
        for task in cell.tasks
    ]


def stored_demos(cell: Cell, paths: Paths) -> list[Demos]:
    """As `load_demos`, where nothing may be collected. Raises `ConfigError` where some are not there."""
    for task in cell.tasks:
        if not (file := demo_file(cell, paths, task)).exists():
            raise ConfigError(
                f"there are no demonstrations of {task} ({file} would be the file), and without rollouts none are "
                "collected: `bench import` those that are stored somewhere, or `bench collect`"
            )
    return load_demos(cell, paths, 1)


def demo_file(cell: Cell, paths: Paths, task: str) -> Path:
    """Where `load_demos` finds those of one task. Raises `NoSimulator`."""
    settings, suite = cell.settings, cell.settings.suite
    return demo_path(
        paths.data, suite.name, suite.env, task, settings.of_task(task), settings.env_python, _stored(cell)
    )


def _stored(cell: Cell) -> ObservationRequest | None:
    return None if cell.settings.simulator().restorable else cell.stored


def join_hashes(demos: Sequence[Demos]) -> str:
    """The demonstrations' own hash; of several tasks, the hash of theirs."""
    hashes = [one.content_hash for one in demos]
    return hashes[0] if len(hashes) == 1 else hashlib.sha256("|".join(hashes).encode()).hexdigest()


@contextmanager
def open_without_rollouts(cell: Cell, demos: Sequence[Demos], workers: int) -> Iterator[list[TaskData]]:
    """To learn from, not to play: no simulator is started where the demonstrations hold what is observed."""
    settings = cell.settings
    if any(one.sensors is None for one in demos):  # what a method sees is drawn from their states
        with open_task_data(cell, demos, workers) as task_data:
            yield task_data
        return
    found = []
    for task, own in zip(cell.tasks, demos, strict=True):
        assert own.sensors is not None
        pool = Pool(EnvConfig(settings.suite.env, task, cell.request, settings.env_python), 0)
        found.append(TaskData(task, own, pool, own.sensors.fingerprint))
    yield found


@contextmanager
def open_task_data(cell: Cell, demos: Sequence[Demos], workers: int) -> Iterator[list[TaskData]]:
    """`workers` simulators of each task; those of one task are busy at a time."""
    with ExitStack() as stack:
        task_data = []
        for task, own in zip(cell.tasks, demos, strict=True):
            pool, fingerprint = open_simulators(cell, task, cell.request, workers)
            task_data.append(TaskData(task, own, stack.enter_context(pool), fingerprint))
        yield task_data


def open_simulators(cell: Cell, task: str, request: ObservationRequest, workers: int) -> tuple[Pool, str]:
    """A pool for one task of the cell and its fingerprint."""
    settings = cell.settings
    return open_pool(settings.suite.env, task, request, workers, settings.env_python, settings.runtime.worker_timeout)
