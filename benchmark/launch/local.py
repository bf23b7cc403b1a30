"""A sweep over this machine: as many cells at once as cores, memory and GPUs allow, each in a process of its own.

A cell that dies takes nothing along. Each process is bound to its own cores: two torch processes that each use all of
them make each other ten times slower.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO

import psutil

from benchmark.launch.gpus import environment_of
from benchmark.launch.status import done_state
from benchmark.launch.sweep_file import Sweep
from benchmark.system.progress import say

POLL = 0.1
GRACE = 20.0
"""Seconds for a stopped cell to close its simulators before it is killed."""
CORES_EACH = 2


@dataclass(frozen=True)
class Slot:
    """What one cell gets: the numbers of its cores, and the names of its GPUs (`benchmark.launch.gpus`)."""

    cores: tuple[int, ...]
    gpus: tuple[str, ...] = ()


@dataclass
class Running:
    kind: str
    number: int
    slot: Slot
    process: subprocess.Popen[bytes]


@dataclass
class Result:
    """Numbers of cells by how their process ended."""

    done: list[int] = field(default_factory=list)
    failed: list[int] = field(default_factory=list)
    busy: list[int] = field(default_factory=list)


def rooms(gpus: Sequence[str], each: int, cells_per_gpu: int) -> list[tuple[str, ...]]:
    """The GPUs of every cell that may run at once: `each` for a cell, shared by `cells_per_gpu` of them.

    Every GPU has its first cell before one has its second.
    """
    apart = [tuple(gpus[first : first + each]) for first in range(0, len(gpus) - each + 1, each)]
    return apart * cells_per_gpu


def slots(jobs: int | None, memory_gb: float, room: Sequence[tuple[str, ...]]) -> list[Slot]:
    """jobs: as many at once, None to let free memory decide and what there is `room` for; without GPUs, the cores (two
    a cell).
    """
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))
    if jobs is None:
        by_memory = int(psutil.virtual_memory().available / 2**30 / memory_gb)
        jobs = max(1, min(len(room) or max(1, len(cores) // CORES_EACH), by_memory))
    share = [tuple(cores[index::jobs]) or (cores[index % len(cores)],) for index in range(jobs)]
    return [Slot(share[index], room[index % len(room)] if room else ()) for index in range(jobs)]


def run_local(sweep: Sweep, numbers: Sequence[int], free: list[Slot]) -> Result:
    """Prepare each group once, then run its cells; returns when all have ended. Ctrl-C or a signal stops them first."""
    waiting: dict[str, list[int]] = {}
    for number in numbers:
        waiting.setdefault(sweep.entries[number].group, []).append(number)
    groups = list(waiting)
    ready: list[int] = []
    running: list[Running] = []
    result = Result()
    with _signals():
        try:
            while groups or ready or running:
                while free and (ready or groups):
                    # cells that can run come first: a prepared group should not wait for the last one's preparation
                    if ready:
                        kind, number = "run", ready.pop(0)
                    else:
                        group = waiting[groups.pop(0)]
                        kind, number = ("prepare" if len(group) > 1 else "run"), group[0]  # a lone cell prepares itself
                    slot = free.pop(0)
                    running.append(Running(kind, number, slot, spawn(sweep, kind, number, slot)))
                for job in [job for job in running if job.process.poll() is not None]:
                    running.remove(job)
                    free.append(job.slot)
                    if job.kind == "prepare":
                        # its cells run whatever came of it: one of them meets the same error and keeps its traceback
                        ready += waiting[sweep.entries[job.number].group]
                    else:
                        _count(sweep, job, result, len(numbers))
                time.sleep(POLL)
        except BaseException:
            stop([job.process for job in running])
            raise
    return result


def _count(sweep: Sweep, job: Running, result: Result, total: int) -> None:
    entry, code = sweep.entries[job.number], job.process.returncode
    (result.done if entry.done else result.busy if code == 3 else result.failed).append(job.number)
    ended = len(result.done) + len(result.failed) + len(result.busy)
    how = "another process has it" if code == 3 else f"FAILED ({_ended(code)})"
    if done := done_state(entry):
        how = ", ".join(filter(None, ("done", done.last)))
    say(f"[{ended}/{total}] {entry.label}: {how}")


def _ended(code: int) -> str:
    return f"killed by signal {-code}" if code < 0 else f"exit {code}"


def spawn(sweep: Sweep, kind: str, number: int, slot: Slot) -> subprocess.Popen[bytes]:
    """The job in a session of its own, so that stopping it stops its simulators and nothing else."""
    threads = str(len(slot.cores))
    environment = os.environ | {"OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads}
    environment |= environment_of(slot.gpus, os.environ)
    log = sweep.log(number, kind)
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as out:
        process = start([str(sweep.folder), kind, str(number), str(os.getpid())], out, environment)
    if hasattr(os, "sched_setaffinity"):
        with contextlib.suppress(OSError):  # it may have ended already
            os.sched_setaffinity(process.pid, slot.cores)
    return process


def start(arguments: Sequence[str], out: IO[bytes], environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """`benchmark.launch.job` in a process and session of its own, which writes to `out`."""
    return subprocess.Popen(
        [sys.executable, "-m", "benchmark.launch.job", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=out,
        stderr=out,
        env=environment,
        start_new_session=True,
    )


def stop(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    """Ask, wait, then kill whole sessions."""
    for process in processes:
        process.send_signal(signal.SIGTERM)
    end = time.monotonic() + GRACE
    for process in processes:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(max(0.1, end - time.monotonic()))
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def cancel(sweep: Sweep) -> int | None:
    """Stop the sweep's launcher if it runs on this machine; returns its process id. It stops its cells first."""
    holder = sweep.folder / "local.holder"
    words = holder.read_text().split() if holder.exists() else []  # "process 123 on HOST"
    if len(words) != 4 or words[3] != socket.gethostname() or not psutil.pid_exists(int(words[1])):
        return None
    os.kill(int(words[1]), signal.SIGTERM)
    end = time.monotonic() + GRACE + 10
    while holder.exists() and time.monotonic() < end:  # it lets go when its cells have ended
        time.sleep(POLL)
    return int(words[1])


@contextlib.contextmanager
def _signals() -> Iterator[None]:
    """Inside, a terminal that closes and a polite kill are like Ctrl-C: stop the cells, then go."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    names = (signal.SIGTERM, signal.SIGHUP)
    before = [signal.signal(name, signal.default_int_handler) for name in names]
    try:
        yield
    finally:
        for name, handler in zip(names, before, strict=True):
            signal.signal(name, handler)
