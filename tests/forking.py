"""Processes that have imported already what they need: forked from a template, a process that has done nothing else.

A template forks on demand. What it forks has its own memory, session and end, and can be killed; how it ended only the
template can say. This file needs nothing but Python, because a simulator's worker may have nothing else.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

LONGEST = 1 << 20
"""Bytes of a question."""
FILES = 8
"""Descriptors that go with one, at most."""


class Forked:
    """With what `subprocess.Popen` has of a process and the code and the tests ask for."""

    def __init__(self, pid: int, template: Template) -> None:
        self.pid, self._template = pid, template
        self.returncode: int | None = None

    def poll(self) -> int | None:
        if self.returncode is None:
            self.returncode = self._template.ask("poll", self.pid)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        end = None if timeout is None else time.monotonic() + timeout
        while self.poll() is None:
            if end is not None and time.monotonic() > end:
                raise subprocess.TimeoutExpired(str(self.pid), timeout or 0.0)
            time.sleep(0.002)
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, number: signal.Signals) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class Template:
    """begin(ours, theirs): starts it, with the socket that it serves, which is closed here afterwards.

    A fork of whoever began it may ask it, too.
    """

    def __init__(self, begin: Callable[[socket.socket, socket.socket], object]) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            begin(self._socket, theirs)

    def start(self, told: Any, handed: Sequence[int] = ()) -> Forked:
        """told: plain data, and handed: descriptors, that what is forked gets."""
        pid = self.ask("start", told, handed)
        assert pid is not None
        return Forked(pid, self)

    def ask(self, what: str, told: Any, handed: Sequence[int] = ()) -> int | None:
        """Each question takes its own way back along: several processes may ask, and one that is killed while it waits
        leaves no answer behind for the next."""
        reply, theirs = socket.socketpair()
        with reply, theirs:
            socket.send_fds(self._socket, [json.dumps([what, told]).encode()], [*handed, theirs.fileno()])
            theirs.close()
            return json.loads(reply.recv(LONGEST))

    def close(self) -> None:
        """It ends by itself then."""
        self._socket.close()


def serve(connection: socket.socket, become: Callable[[Any, list[int]], object]) -> None:
    """Until the other side is closed. become(told, handed): what a fork does; then it ends, as Python does."""
    while True:
        said, received, _, _ = socket.recv_fds(connection, LONGEST, FILES)
        if not said:
            return
        what, told = json.loads(said)
        *handed, back = received
        reply = socket.socket(fileno=back)
        if what == "poll":
            ended, status = os.waitpid(told, os.WNOHANG)
            answer = os.waitstatus_to_exitcode(status) if ended else None
        else:
            answer = os.fork()
            if not answer:
                connection.close()
                reply.close()
                os.setsid()
                end_with(functools.partial(become, told, handed))
            for fd in handed:
                os.close(fd)
        with reply, contextlib.suppress(OSError):  # who asked may be gone
            reply.send(json.dumps(answer).encode())


def end_with(become: Callable[[], object]) -> None:
    """Do it and end as Python ends, but for taking apart what the template has imported: a second of CPU time, in which
    memory that was shared is copied."""
    code = 0
    try:
        become()
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
        if isinstance(error.code, str):
            print(error.code, file=sys.stderr)
    except BaseException:
        sys.excepthook(*sys.exc_info())  # type: ignore[arg-type]
        code = 1
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, OSError, ValueError):
            stream.flush()
    os._exit(code)


def redirect(*files: int) -> None:
    """Standard input, output and error become these, which are closed."""
    for target, fd in enumerate(files):
        os.dup2(fd, target)
    for fd in set(files):
        os.close(fd)
