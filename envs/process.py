"""A process that answers messages: how it is started, waited for and ended, whatever the simulator in it does.

It is a new interpreter, which may be another than this one, in a session of its own: it and every process that it
started are ended together. What it prints goes to standard error; messages have a socket of their own.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from envs.channel import Channel
from envs.errors import UserError
from envs.messages import BadFrame

STARTING = 180.0
"""Seconds that a simulator has at least to be built: on a busy machine its imports alone take some."""
ENDING = 3.0
"""Seconds that a process has to close its simulator before it is killed."""
CLOSE = "close"
"""The command after which nothing comes; without it the other side is gone."""

LEND = """
import importlib.util, sys
room = sys.argv.pop(1)
spec = importlib.util.spec_from_file_location("envs", room + "/__init__.py", submodule_search_locations=[room])
sys.modules["envs"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(sys.modules["envs"])
"""
"""An interpreter with site-packages of its own is lent this one package of ours, whose folder is its first argument."""
_PROGRAM = LEND + "from envs.serving import main\nmain()\n"


class WorkerError(UserError, RuntimeError):
    """Something was raised in the worker. The message has its type; `trace` is its traceback, `said` its own text.

    fault: `simulator`, or `caller` where what was asked could not be answered.
    """

    def __init__(self, message: str, trace: str = "", kind: str = "", said: str = "", fault: str = "simulator") -> None:
        super().__init__(message)
        self.trace, self.kind, self.said, self.fault = trace, kind, said, fault


class WorkerDied(UserError, RuntimeError):
    """The process ended, stopped answering, or answered with what is no message; it is not there any more.

    The job can be given to another worker.
    """


class NotStarted(OSError):
    """The interpreter cannot be started."""


class Process:
    """One process and the conversation with it. `ask` and `answer` are apart, so that many can be busy at once.

    title: what it is, for messages. first: what it is to be, as `envs.serving.serve` takes it; the first `answer` says
    that it is. timeout: seconds in which it has to answer, and again in which a reply that has begun has to be whole;
    then it is killed. To begin with it has `STARTING` if that is longer. Raises `NotStarted`.
    """

    def __init__(
        self,
        title: str,
        python: str | None,
        first: Any,
        timeout: float,
        memory: tuple[int, int] | None = None,
        errors: int | None = None,
    ) -> None:
        self._title, self._timeout, self._limit = title, timeout, max(timeout, STARTING)
        self._asked = "to begin"
        self._death: str | None = None
        ours, theirs = socket.socketpair()
        handed = [theirs.fileno(), *([memory[0]] if memory else [])]
        with theirs:
            try:
                told = _standard_error() if errors is None else errors  # standard output is for results alone
                self.process = start(python or sys.executable, handed, memory[1] if memory else None, told)
            except OSError as error:
                ours.close()
                if error.errno in (errno.EAGAIN, errno.ENOMEM):
                    raise WorkerError(
                        f"this machine cannot start another process ({error.strerror}); use fewer simulators "
                        "(runtime.workers, --workers), or wait until others have ended"
                    ) from error
                raise NotStarted(error.errno, error.strerror or str(error)) from error
        self._ended = _end_of(self.process.pid)
        self.channel = Channel(ours, self._ended)
        self.asked_at = time.monotonic()
        self._send(first)

    @property
    def descriptors(self) -> tuple[int, ...]:
        """One of them becomes readable when there is an answer, or none will come; empty if the process is dead."""
        if self._death:
            return ()
        said = self.channel.fileno()
        return (said,) if self._ended is None else (said, self._ended)

    @property
    def late_at(self) -> float:
        """When it will be killed if there is no answer, in the time of `time.monotonic`."""
        return self.asked_at + self._limit

    def ask(self, command: str, *arguments: Any) -> None:
        """Send a command. That the process is dead is said by `answer`, in one place, not here.

        Raises `envs.messages.Unsendable` for arguments that no message can hold.
        """
        self.asked_at, self._asked = time.monotonic(), command
        self._send((command, arguments))

    def _send(self, message: Any) -> None:
        if self._death is None:
            try:
                self.channel.send(message, self.late_at)
            except TimeoutError:
                self.expire()
            except OSError:
                pass

    def answer(self) -> Any:
        """The reply to the last `ask` (or to being started). Raises `WorkerError` or `WorkerDied`."""
        try:
            if self._death is not None:
                raise WorkerDied(self._death)
            kind, reply = self.channel.receive(time.monotonic() + self._limit)
        except TimeoutError:
            self.expire()
            raise WorkerDied(self._death) from None
        except (EOFError, OSError):
            self._bury()
            raise WorkerDied(self._death) from None
        except (BadFrame, TypeError, ValueError) as error:
            self._die(f"was asked {self._asked} and gave what is no message ({error}); it was killed")
            raise WorkerDied(self._death) from None
        self._limit = self._timeout
        if kind == "error":
            message = f"{reply['kind']}: {reply['said']}"
            raise WorkerError(message, reply["trace"], reply["kind"], reply["said"], reply["fault"])
        return reply

    def ask_and_wait(self, command: str, *arguments: Any) -> Any:
        self.ask(command, *arguments)
        return self.answer()

    def expire(self) -> None:
        """Kill it, because it has not answered in time."""
        self._die(f"was asked {self._asked} and gave no whole answer in {self._limit:.0f} s; it was killed")

    def _bury(self) -> None:
        """It hung up. Its exit code is worth waiting for."""
        if self._exited(5.0):
            self.kill()
            code = self.process.returncode
            why = f"ended unexpectedly (exit code {code}{_signal(code)}) when it was asked {self._asked}"
        else:
            why = f"hung up without an end when it was asked {self._asked}; it was killed"
        self._die(why)

    def _die(self, why: str) -> None:
        self._death = f"the {self._title} worker {self.process.pid} {why}"
        self.kill()

    def farewell(self) -> None:
        """Tell it to end, without waiting for that."""
        with contextlib.suppress(OSError):
            if self._death is None and not self.channel.closed:
                self.channel.send((CLOSE, ()), time.monotonic())
        self.channel.close()

    def close(self, patience: float = ENDING) -> None:
        """End it, and whatever it started: gently if it can, and within `patience` seconds."""
        self.farewell()
        self._exited(patience)
        self.kill()

    def _exited(self, patience: float) -> bool:
        """Whether it ends within `patience` seconds. It is not reaped, so that no other process can have its number."""
        if self._ended is not None:
            waiting = select.poll()
            waiting.register(self._ended, select.POLLIN)
            return bool(waiting.poll(patience * 1000))
        deadline = time.monotonic() + patience
        while self.process.returncode is None:
            with contextlib.suppress(ChildProcessError):  # somebody else has reaped it
                if os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
                    if (left := deadline - time.monotonic()) <= 0:
                        return False
                    time.sleep(min(left, 0.01))
                    continue
            return True
        return True

    def kill(self) -> None:
        """End it and its group at once. One that cannot end, deep in a driver, is left to the system after a while."""
        if self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signal.SIGKILL)  # before it is reaped: until then its number is its own
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(timeout=5.0)
        if self._death is None:
            self._death = f"the {self._title} worker {self.process.pid} was ended"
        self.channel.close()
        if self._ended is not None:
            os.close(self._ended)
            self._ended = None


def start(python: str, handed: Sequence[int], size: int | None, output: int) -> subprocess.Popen[bytes]:
    """A new interpreter that runs `envs.serving`. handed: its socket, and perhaps a memory file of `size` bytes."""
    arguments = [*map(str, handed), *([] if size is None else [str(size)])]
    return subprocess.Popen(
        [python, "-c", _PROGRAM, str(Path(__file__).parent), *arguments],
        pass_fds=handed,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        env=environment(),
        stdout=output,
        stderr=output,
    )


def _end_of(pid: int) -> int | None:
    """A descriptor that becomes readable when the process ends; None where the system has none."""
    try:
        return os.pidfd_open(pid)
    except (AttributeError, OSError):
        return None


def _signal(code: int | None) -> str:
    if code is None or code >= 0:
        return ""
    with contextlib.suppress(ValueError):
        return f", {signal.Signals(-code).name}"
    return ""


def environment() -> dict[str, str]:
    # One process, one thread: 0 has Mesa's software rasteriser draw in the calling thread (its pixels are the same)
    return os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "LP_NUM_THREADS": "0"}


def _standard_error() -> int:
    try:
        os.fstat(2)
    except OSError:  # whoever started this process had closed it
        return subprocess.DEVNULL
    return 2
