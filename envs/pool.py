"""Simulators in worker processes: started fresh (never forked), replaced when they die.

Each worker is a new interpreter, so no GL context, lock or thread is inherited. What a worker and its parent share is
an anonymous memory file and a socket, both handed down as open descriptors: nothing has a name, so nothing is left
behind after a kill -9.
"""

from __future__ import annotations

import mmap
import os
import select
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from envs.class_facts import NoSimulator
from envs.description import describe, interpreter_setting
from envs.process import NotStarted, Process, WorkerDied, WorkerError
from envs.spec import Observation, ObservationRequest
from envs.worker import buffer_size, field_views

__all__ = ["EnvConfig", "Pool", "Worker", "WorkerDied", "WorkerError"]

REPLACEMENTS = 3
"""Workers that are started in the place of a dead one, if the first of them die while they start."""


@dataclass(frozen=True)
class EnvConfig:
    """What every worker of a pool builds, and in which interpreter (None: this one)."""

    name: str
    task: str
    request: ObservationRequest
    python: str | None = None


class Worker(Process):
    """One simulator in one process. timeout: as `envs.process.Process`."""

    def __init__(self, config: EnvConfig, timeout: float) -> None:
        self.config = config
        try:
            kind = describe(config.name, config.python)
            specs, files = kind.specs(config.request), kind.files()
        except NoSimulator as error:
            raise WorkerError(str(error)) from error
        size = buffer_size(specs)
        if hasattr(os, "memfd_create"):
            memory = os.memfd_create("repbench")
        else:
            with tempfile.TemporaryFile() as file:
                memory = os.dup(file.fileno())
        wanted = {"name": config.name, "task": config.task, "request": config.request, "specs": specs}
        try:
            os.ftruncate(memory, size)
            first = ("build", {**wanted, "expected": files})
            super().__init__(config.name, config.python, first, timeout, (memory, size))
            self._mapping = mmap.mmap(memory, size)
        except NotStarted as error:
            raise WorkerError(
                f"the interpreter '{config.python}' cannot be started ({error.strerror}); "
                f"{interpreter_setting(config.name)} must be the path of a Python with {config.name} in it"
            ) from error
        finally:
            os.close(memory)
        self.observation: Observation = field_views(self._mapping, specs)


class Pool:
    """Up to `size` workers with the same simulator. Use as a context manager.

    timeout: seconds after which a worker that has not answered is killed and counts as dead (rendering drivers have
    been seen to hang for ever). The same holds for one that is started or that replaces another, which has
    `envs.process.STARTING` if that is longer, and for the rest of an answer that has begun.
    """

    def __init__(self, config: EnvConfig, size: int, timeout: float = 180.0) -> None:
        self.config, self.timeout = config, timeout
        self.deaths = 0
        self.workers: list[Worker] = []
        try:
            for _ in range(size):
                self.workers.append(Worker(config, timeout))
            for worker in self.workers:
                worker.answer()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        for worker in self.workers:
            worker.farewell()
        for worker in self.workers:
            worker.close()

    def replace(self, worker: Worker) -> Worker:
        """Put a new worker in the place of a dead or hung one. Raises `WorkerDied` if none lives until it is built."""
        self.deaths += 1
        worker.kill()
        place = self.workers.index(worker)
        for attempt in range(REPLACEMENTS):
            self.workers[place] = fresh = Worker(self.config, self.timeout)
            try:
                fresh.answer()
                break
            except WorkerDied:
                if attempt == REPLACEMENTS - 1:
                    raise
        return fresh

    def ready(self, waiting: Sequence[Worker]) -> list[Worker]:
        """Those of `waiting` that have answered or died; blocks until there is one.

        A worker that is silent for longer than the pool's timeout is killed, which makes its answer raise `WorkerDied`.
        """
        while True:
            watched, poll, dead = {}, select.poll(), []
            for worker in waiting:
                descriptors = worker.descriptors
                for fd in descriptors:
                    watched[fd] = worker
                    poll.register(fd, select.POLLIN)
                if not descriptors:
                    dead.append(worker)
            late_at = min((worker.late_at for worker in waiting), default=0.0)
            found = poll.poll(0 if dead else max(0.0, late_at - time.monotonic()) * 1000)
            done = {id(watched[fd]) for fd, _ in found} | {id(worker) for worker in dead}
            if done or not waiting:
                return [worker for worker in waiting if id(worker) in done]
            for worker in waiting:
                if time.monotonic() >= worker.late_at:
                    worker.expire()

    def map(self, command: str, jobs: Iterable[tuple[Any, ...]], retries: int = 2) -> Iterator[tuple[int, Any]]:
        """Run `command(*job)` for each job over all workers; yields (index, reply) as they come in.

        A job whose worker dies is given to a new worker, `retries` times; then `WorkerDied` is raised. What the
        simulator itself raises comes out as `WorkerError`. Closing the generator leaves the pool unusable.
        """
        queue = iter(enumerate(jobs))
        running: dict[Worker, tuple[int, tuple[Any, ...], int]] = {}

        def start(worker: Worker, index: int, job: tuple[Any, ...], attempt: int) -> None:
            running[worker] = (index, job, attempt)
            worker.ask(command, *job)

        for worker, (index, job) in zip(self.workers, queue, strict=False):
            start(worker, index, job, 0)
        while running:
            for worker in self.ready(list(running)):
                index, job, attempt = running.pop(worker)
                try:
                    reply = worker.answer()
                except WorkerDied:
                    if attempt == retries:
                        raise
                    start(self.replace(worker), index, job, attempt + 1)
                    continue
                following = next(queue, None)
                if following is not None:
                    start(worker, *following, 0)
                yield index, reply
