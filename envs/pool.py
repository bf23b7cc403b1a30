"""Simulators in worker processes: started fresh (never forked), replaced when they die.

Each worker is a new interpreter, so no GL context, lock or thread is inherited. What a worker and its parent share is
an anonymous memory file and a socket, both handed down as open descriptors: nothing has a name, so nothing is left
behind after a kill -9.
"""

from __future__ import annotations

import contextlib
import hashlib
import mmap
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from envs.local_code import content
from envs.registry import env_class, loaded_files
from envs.spec import Observation, ObservationRequest
from envs.versions import LEND_ROOM
from envs.worker import buffer_size, field_views

_BOOTSTRAP = LEND_ROOM + "from envs.worker import main\nmain()"


class WorkerError(RuntimeError):
    """The simulator raised; the message is its own, `trace` its traceback."""

    def __init__(self, message: str, trace: str = "") -> None:
        super().__init__(message)
        self.trace = trace


class WorkerDied(RuntimeError):
    """The process ended or stopped answering. The job can be given to another worker."""


@dataclass(frozen=True)
class EnvConfig:
    """What every worker of a pool builds, and in which interpreter (None: this one)."""

    name: str
    task: str
    request: ObservationRequest
    python: str | None = None


def _expected(name: str) -> dict[str, str]:
    """File -> sha256 of a simulator's own code as this process knows it: a worker must not run an edit of it."""
    found = loaded_files(name).values() if ".py:" in name else ()
    return {str(path): hashlib.sha256(content(path)).hexdigest() for path in found}


class Worker:
    """One simulator in one process. `ask` and `answer` are apart, so that many workers can be busy at once."""

    def __init__(self, config: EnvConfig) -> None:
        self.config = config
        specs = env_class(config.name).specs(config.request)
        size = buffer_size(specs)
        if hasattr(os, "memfd_create"):
            memory = os.memfd_create("repbench")
        else:
            with tempfile.TemporaryFile() as file:
                memory = os.dup(file.fileno())
        os.ftruncate(memory, size)
        ours, theirs = socket.socketpair()
        # One process, one thread: 0 has Mesa's software rasteriser draw in the calling thread (its pixels are the same)
        environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "LP_NUM_THREADS": "0"}
        command = [config.python or sys.executable, "-c", _BOOTSTRAP, str(Path(__file__).parent)]
        try:
            self.process = subprocess.Popen(
                [*command, str(theirs.fileno()), str(memory), str(size)],
                pass_fds=(theirs.fileno(), memory), stdin=subprocess.DEVNULL, env=environment,
            )  # fmt: skip
        except OSError as error:
            raise WorkerError(
                f"the interpreter '{command[0]}' cannot be started ({error.strerror}); "
                f"env.{config.name}.python must be the path of a Python with {config.name} in it"
            ) from error
        self._mapping = mmap.mmap(memory, size)
        os.close(memory)
        theirs.close()
        self.connection = Connection(ours.detach())
        self.observation: Observation = field_views(self._mapping, specs)
        self.asked_at = time.monotonic()
        self.connection.send((config.name, config.task, config.request, _expected(config.name)))

    def ask(self, command: str, *arguments: Any) -> None:
        """Send a command. That the worker is dead is said by `answer`, in one place, not here."""
        self.asked_at = time.monotonic()
        with contextlib.suppress(OSError):
            self.connection.send((command, arguments))

    def answer(self) -> Any:
        """The reply to the last `ask` (or to being built). Raises `WorkerError` or `WorkerDied`."""
        try:
            kind, *rest = self.connection.recv()
        except (EOFError, OSError) as error:
            raise WorkerDied(self._epitaph()) from error
        if kind == "error":
            raise WorkerError(*rest)
        return rest[0]

    def _epitaph(self) -> str:
        try:
            code = self.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            code = None
        return f"the {self.config.name} worker {self.process.pid} ended unexpectedly (exit code {code})"

    def close(self, patience: float = 3.0) -> None:
        self.connection.close()
        try:
            self.process.wait(timeout=patience)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


class Pool:
    """Up to `size` workers with the same simulator. Use as a context manager.

    timeout: seconds after which a worker that has not answered is killed and counts as dead (rendering drivers have
    been seen to hang for ever).
    """

    def __init__(self, config: EnvConfig, size: int, timeout: float = 180.0) -> None:
        self.config, self.timeout = config, timeout
        self.deaths = 0
        self.workers = [Worker(config) for _ in range(size)]
        try:
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
            if not worker.connection.closed:
                worker.connection.close()
        for worker in self.workers:
            worker.close()

    def replace(self, worker: Worker) -> Worker:
        """Put a new worker in the place of a dead or hung one."""
        self.deaths += 1
        worker.kill()
        worker.connection.close()
        fresh = Worker(self.config)
        self.workers[self.workers.index(worker)] = fresh
        fresh.answer()
        return fresh

    def ready(self, waiting: Sequence[Worker]) -> list[Worker]:
        """Those of `waiting` that have answered or died; blocks until there is one.

        A worker that is silent for longer than `timeout` is killed, which makes its answer raise `WorkerDied`.
        """
        by_connection = {worker.connection: worker for worker in waiting}
        while True:
            done = wait(list(by_connection), timeout=5.0)
            if done:
                return [by_connection[connection] for connection in done]  # type: ignore[index]
            for worker in waiting:
                if time.monotonic() - worker.asked_at > self.timeout:
                    worker.kill()

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
