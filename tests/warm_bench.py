"""`bench` in a process of its own that has imported torch already: forked from one that imports it once.

A start of Python that trains imports for three seconds of CPU, which is most of what a command over the toy simulator
takes. Here each command is a fork of a process that has done nothing but import: it has its own memory, modules,
working folder, environment, session and end, it can be killed, and of a user's files it knows as little as a fresh one.
What is about the start itself (the interpreter's options, `sitecustomize`) belongs to `tests.test_cli.bench`.
"""

from __future__ import annotations

import atexit
import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from benchmark.cli.main import main

SERVER: list[subprocess.Popen[str]] = []
ROOT = Path(__file__).resolve().parents[1]


@dataclass
class Started:
    """A command that runs, with what `subprocess.Popen` has of one and tests ask for."""

    pid: int
    folder: tempfile.TemporaryDirectory[str]
    returncode: int | None = None

    def poll(self) -> int | None:
        if self.returncode is None:
            self.returncode = _ask(["poll", self.pid])
        return self.returncode

    def wait(self, timeout: float) -> int:
        end = time.monotonic() + timeout
        while self.poll() is None:
            if time.monotonic() > end:
                raise subprocess.TimeoutExpired("bench", timeout)
            time.sleep(0.005)
        assert self.returncode is not None
        return self.returncode

    def communicate(self, timeout: float = 300.0) -> tuple[str, str]:
        """Standard output and standard error, when it has ended."""
        self.wait(timeout)
        out, err = (Path(self.folder.name, name).read_text() for name in ("out", "err"))
        return out, err

    def send_signal(self, number: signal.Signals) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def warm_start(*arguments: str, cwd: Path, **environment: str) -> Started:
    """As `tests.test_cli.start`."""
    if not SERVER:
        pipe, known = subprocess.PIPE, os.environ | {"PYTHONPATH": str(ROOT)}
        SERVER.append(subprocess.Popen([sys.executable, "-m", __name__], env=known, stdin=pipe, stdout=pipe, text=True))
        atexit.register(_end)
    folder = tempfile.TemporaryDirectory()
    told = {"COLUMNS": "160", **os.environ, **environment}
    pid = _ask(["start", arguments, str(cwd), told, folder.name])
    assert pid is not None
    return Started(pid, folder)


def warm_bench(*arguments: str, cwd: Path, **environment: str) -> tuple[int, str, str]:
    """Exit code, standard output and standard error, as `tests.test_cli.bench`."""
    started = warm_start(*arguments, cwd=cwd, **environment)
    out, err = started.communicate()
    assert started.returncode is not None
    return started.returncode, out, err


def _ask(question: list[object]) -> int | None:
    asks, says = SERVER[0].stdin, SERVER[0].stdout
    assert asks is not None and says is not None
    print(json.dumps(question), file=asks, flush=True)
    return json.loads(says.readline())


def _end() -> None:
    SERVER[0].communicate(timeout=60)


def _serve() -> None:
    for name in ("torch._dynamo", "benchmark.experiment.run_cells", "benchmark.report.plots"):
        importlib.import_module(name)  # the first is what an optimiser imports when it is made
    for line in sys.stdin:
        what, *told = json.loads(line)
        if what == "poll":
            ended, status = os.waitpid(told[0], os.WNOHANG)
            answer = os.waitstatus_to_exitcode(status) if ended else None
        else:
            answer = os.fork()
            if not answer:
                _command(*told)
        print(json.dumps(answer), flush=True)


def _command(arguments: list[str], cwd: str, environment: dict[str, str], folder: str) -> None:
    """In the fork: `bench`, which does not return."""
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # the tests may run where Ctrl-C is ignored
    for fd, file in zip((0, 1, 2), (os.devnull, f"{folder}/out", f"{folder}/err"), strict=True):
        os.dup2(os.open(file, os.O_RDWR | os.O_CREAT | os.O_APPEND), fd)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv, sys.path[0] = ["bench", *arguments], cwd
    main()


if __name__ == "__main__":
    _serve()
