"""Whatever a simulator does to its process, the caller gets its error in time, and nothing stays behind."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest

from envs import pool as pool_module
from envs import process as process_module
from envs.pool import EnvConfig, Pool, WorkerDied, WorkerError
from envs.spec import ObservationRequest
from tests.conftest import TOY

pytestmark = pytest.mark.slow
SIMULATOR = """
import ctypes, os, signal, subprocess, sys, threading, time
sys.path.insert(0, {folder!r})
import numpy as np
from toy_env import Toy

libc = ctypes.CDLL(None)
gil = ctypes.PyDLL(None)


def socket_of_messages():
    return next(fd for fd in range(3, 64) if os.path.exists(f"/proc/self/fd/{{fd}}")
                and os.readlink(f"/proc/self/fd/{{fd}}").startswith("socket"))


def half_a_message(then):
    from envs.messages import encode
    whole = b"".join(map(bytes, encode(("ok", np.zeros(100_000)))))
    os.write(socket_of_messages(), whole[:1000])
    then()


def child():
    started = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], close_fds=False)
    forked = os.fork()
    if not forked:
        time.sleep(600)
    open({mark!r}, "w").write(f"{{started.pid}} {{forked}}")


ACTS = {{
    1: lambda: time.sleep(600),
    2: lambda: libc.sleep(600),
    3: lambda: gil.sleep(600),  # holds the interpreter's lock: no thread of Python's runs
    4: lambda: ctypes.string_at(0),
    5: lambda: libc.abort(),
    6: lambda: os._exit(7),
    7: lambda: half_a_message(lambda: os.kill(os.getpid(), signal.SIGKILL)),
    8: lambda: half_a_message(lambda: time.sleep(600)),
    9: lambda: os.write(socket_of_messages(), b"Loading the renderer ..."),
    10: lambda: (child(), os._exit(8)),
    11: lambda: (child(), time.sleep(600)),
    12: child,
    13: lambda: (libc.printf(b"from C, without an end of line"), libc.fflush(None), os.write(1, b"x" * 100_000)),
    14: lambda: (os.close(1), os.close(2), sys.stdout.close()),
    15: lambda: sys.exit("enough"),
    16: lambda: os.close(socket_of_messages()),
    17: lambda: os.kill(os.getpid(), signal.SIGSTOP),
    18: lambda: input(),
    19: lambda: (_ for _ in ()).throw(BrokenPipeError("its own server is gone")),
    20: lambda: (_ for _ in ()).throw(Odd()),
}}


class Odd(Exception):
    def __str__(self):
        raise RuntimeError("no text")


class Unruly(Toy):
    def __init__(self, task, request):
        super().__init__(task, request)
        if os.path.exists({mark!r} + ".hang"):
            time.sleep(600)
        if os.path.exists({mark!r} + ".once"):
            os.remove({mark!r} + ".once")
            os._exit(9)

    def reset(self, seed):
        ACTS.get(seed, lambda: None)()
        return super().reset(seed)

    def fingerprint(self):
        return object()
"""


@pytest.fixture
def unruly(tmp_path: Path) -> str:
    (tmp_path / "unruly.py").write_text(SIMULATOR.format(folder=str(Path(TOY).parent), mark=str(tmp_path / "children")))
    return f"{tmp_path / 'unruly.py'}:Unruly"


@pytest.fixture
def pool(unruly: str) -> Iterator[Pool]:
    with Pool(EnvConfig(unruly, "near", ObservationRequest(("proprio",))), 1, timeout=2.0) as found:
        yield found


def reset(pool: Pool, seed: int) -> None:
    pool.workers[0].ask("reset", seed)
    pool.ready(pool.workers)[0].answer()


DEATHS = {
    "a hang": (1, "gave no whole answer in 2 s"),
    "a hang in native code": (2, "gave no whole answer in 2 s"),
    "a hang with the interpreter's lock": (3, "gave no whole answer in 2 s"),
    "a segmentation fault": (4, "exit code -11, SIGSEGV"),
    "abort()": (5, "exit code -6, SIGABRT"),
    "os._exit": (6, "exit code 7"),
    "SIGKILL in the middle of a message": (7, "exit code -9, SIGKILL"),
    "a hang in the middle of a message": (8, "gave no whole answer in 2 s"),
    "printing over the messages": (9, "gave what is no message.*begins with b'Load'"),
    "an end that leaves children which hold everything open": (10, "exit code 8"),
    "a hang with children": (11, "gave no whole answer in 2 s"),
    "a socket that it closed": (16, "hung up without an end|ended unexpectedly"),
    "a stop": (17, "gave no whole answer in 2 s"),
}


@pytest.mark.parametrize("case", DEATHS)
def test_a_death_is_told_in_time_and_the_next_worker_works(case: str, pool: Pool, tmp_path: Path) -> None:
    seed, said = DEATHS[case]
    pid, start = pool.workers[0].process.pid, time.monotonic()
    with pytest.raises(WorkerDied, match=f"unruly.py:Unruly worker {pid} .*({said})"):
        reset(pool, seed)
    with pytest.raises(WorkerDied, match=said):
        pool.workers[0].answer()
    assert time.monotonic() - start < 15
    fresh = pool.replace(pool.workers[0])
    reset(pool, 0)
    fresh.ask("step", np.zeros(2, np.float32))
    assert fresh.answer()[1] in (True, False)
    assert_gone(pid, *children(tmp_path))


def children(folder: Path) -> list[int]:
    mark = folder / "children"
    return [int(pid) for pid in mark.read_text().split()] if mark.exists() else []


def assert_gone(*pids: int) -> None:
    deadline = time.monotonic() + 5
    while (left := [pid for pid in pids if running(pid)]) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert left == []


def running(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_an_answer_without_ready_has_a_deadline_too(pool: Pool) -> None:
    pool.workers[0].ask("reset", 1)
    with pytest.raises(WorkerDied, match="gave no whole answer in 2 s"):
        pool.workers[0].answer()


def test_what_is_asked_of_a_worker_that_does_not_read_has_a_deadline(pool: Pool) -> None:
    (worker,) = pool.workers
    worker.process.send_signal(19)
    worker.ask("replay", 0, np.zeros((10**6, 2)))  # more than a socket holds
    with pytest.raises(WorkerDied, match="gave no whole answer in 2 s"):
        worker.answer()


def test_children_end_with_their_simulator(pool: Pool, tmp_path: Path) -> None:
    reset(pool, 12)
    started = children(tmp_path)
    assert len(started) == 2 and all(map(running, started))
    start = time.monotonic()
    pool.close()
    assert time.monotonic() - start < 5, "a child that holds the worker's socket must not keep us"
    assert_gone(*started)


def test_output_of_machine_code_and_a_closed_standard_output(pool: Pool) -> None:
    for seed in (13, 14, 0):
        reset(pool, seed)
    assert pool.deaths == 0


@pytest.mark.parametrize(
    ("seed", "said"),
    [
        (15, "SystemExit: enough"),
        (18, "EOFError"),
        (19, "BrokenPipeError: its own server is gone"),
        (20, "Odd: .*its text raised RuntimeError"),
    ],
)
def test_what_is_raised_is_told_and_the_worker_goes_on(pool: Pool, seed: int, said: str) -> None:
    with pytest.raises(WorkerError, match=said) as caught:
        reset(pool, seed)
    assert caught.value.fault == "simulator" and "in reset" in caught.value.trace
    assert caught.value.kind == said.partition(":")[0]
    reset(pool, 0)


def test_whose_fault_an_error_is(pool: Pool) -> None:
    (worker,) = pool.workers
    reset(pool, 0)
    for asked, fault in [
        (("fingerprint",), "simulator"),
        (("step", np.zeros(5, np.float32)), "caller"),
        (("step", np.full(2, np.nan, np.float32)), "caller"),
        (("rest", 1), "caller"),
        (("_publish", {}), "caller"),
        (("reset",), "caller"),
        (("reset", 18), "simulator"),
    ]:
        worker.ask(*asked)
        with pytest.raises(WorkerError) as caught:
            worker.answer()
        assert caught.value.fault == fault, asked
    with pytest.raises(WorkerError, match="unknown MetaWorld task") as caught:
        Pool(EnvConfig("metaworld", "reech", ObservationRequest(("proprio",))), 1)
    assert caught.value.fault == "caller"
    with pytest.raises(TypeError, match="a message cannot hold a builtins.object"):
        worker.ask("reset", object())
    reset(pool, 0)


def test_a_simulator_that_hangs_while_it_is_built(pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_module, "STARTING", 2.0)
    monkeypatch.setattr(pool_module, "REPLACEMENTS", 2)
    (tmp_path / "children.hang").touch()
    start = time.monotonic()
    with pytest.raises(WorkerDied, match="was asked to begin and gave no whole answer in 2 s"):
        Pool(pool.config, 2, timeout=2.0)
    with pytest.raises(WorkerDied, match="to begin"):
        pool.replace(pool.workers[0])
    assert time.monotonic() - start < 20


def test_a_replacement_that_dies_once_is_replaced(pool: Pool, tmp_path: Path) -> None:
    (tmp_path / "children.once").touch()
    pool.replace(pool.workers[0])
    reset(pool, 0)


@pytest.mark.parametrize("seed", [0, 1, 2, 12])
def test_nothing_survives_a_parent_that_is_killed(unruly: str, tmp_path: Path, seed: int) -> None:
    """Neither a worker that is idle, or hangs, nor its children. (It is not seen by one that holds Python's lock.)"""
    code = (
        "import os, signal, time\nfrom envs.pool import *\nfrom envs.spec import ObservationRequest\n"
        f"pool = Pool(EnvConfig({unruly!r}, 'near', ObservationRequest(('proprio',))), 1)\n"
        f"pool.workers[0].ask('reset', {seed})\n"
        f"{'time.sleep(1)' if seed in (1, 2) else 'pool.workers[0].answer()'}\n"
        "print(pool.workers[0].process.pid, flush=True)\nos.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    pids = [int(done.stdout), *children(tmp_path)]
    deadline = time.monotonic() + 15
    while any(map(running, pids)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert len(pids) == (3 if seed == 12 else 1)
    assert_gone(*pids)


def test_without_a_descriptor_of_its_end_a_process_is_still_waited_for(
    unruly: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "pidfd_open")
    with Pool(EnvConfig(unruly, "near", ObservationRequest(("proprio",))), 1, timeout=2.0) as pool:
        reset(pool, 0)
        with pytest.raises(WorkerDied, match="exit code 7"):
            reset(pool, 6)
