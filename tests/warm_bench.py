"""`bench` in a process of its own that has imported torch already (`tests.forking`).

A start of Python that trains imports for three seconds of CPU, which is most of what a command over the toy simulator
takes. Here each command is a fork, and so are its simulators' workers and each job that it starts on this machine. Of a
user's files it knows as little as a fresh process. What is about the start itself (the interpreter's options,
`sitecustomize`) belongs to `tests.test_cli.bench`.
"""

from __future__ import annotations

import atexit
import importlib
import os
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import envs.process
from benchmark.cli.main import main
from benchmark.launch import job, local
from benchmark.settings.load import load_settings, show
from benchmark.system.process_exit import leave
from tests import warm_workers
from tests.forking import Forked, Template, redirect, serve

TEMPLATES: list[Template] = []
ROOT = Path(__file__).resolve().parents[1]


class Started:
    """A command that runs, and the files that it writes to."""

    def __init__(self, process: Forked, folder: tempfile.TemporaryDirectory[str]) -> None:
        self.process, self.folder = process, folder
        self.pid, self.poll, self.wait = process.pid, process.poll, process.wait
        self.send_signal, self.kill = process.send_signal, process.kill

    @property
    def returncode(self) -> int | None:
        return self.process.returncode

    def communicate(self, timeout: float = 300.0) -> tuple[str, str]:
        """Standard output and standard error, when it has ended."""
        self.wait(timeout)
        out, err = (Path(self.folder.name, name).read_text() for name in ("out", "err"))
        return out, err


def warm_start(*arguments: str, cwd: Path, **environment: str) -> Started:
    """As `tests.test_cli.start`."""
    return _started("", arguments, cwd, environment)


def warm_module(module: str, *arguments: str, cwd: Path, **environment: str) -> Started:
    """As `python -m module arguments`."""
    return _started(module, arguments, cwd, environment)


def _started(module: str, arguments: Sequence[str], cwd: Path, environment: Mapping[str, str]) -> Started:
    if not TEMPLATES:
        TEMPLATES.append(Template(_begin))
        atexit.register(TEMPLATES[0].close)
    folder = tempfile.TemporaryDirectory()
    told = {"COLUMNS": "160", **os.environ, **environment}
    return Started(TEMPLATES[0].start([module, arguments, str(cwd), told, folder.name]), folder)


def warm_bench(*arguments: str, cwd: Path, **environment: str) -> tuple[int, str, str]:
    """Exit code, standard output and standard error, as `tests.test_cli.bench`."""
    started = warm_start(*arguments, cwd=cwd, **environment)
    out, err = started.communicate()
    assert started.returncode is not None
    return started.returncode, out, err


def _begin(_: socket.socket, theirs: socket.socket) -> None:
    program = f"import sys\nsys.path.insert(1, {str(ROOT)!r})\nfrom {__name__} import serve_commands\nserve_commands()"
    command = [sys.executable, "-c", program, str(theirs.fileno())]
    subprocess.Popen(command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, start_new_session=True)


def _become_bench(told: Any, _: list[int]) -> None:
    """In the fork: `bench`, which does not return, or a module."""
    module, arguments, cwd, environment, folder = told
    signal.signal(signal.SIGINT, signal.default_int_handler)  # the tests may run where Ctrl-C is ignored
    modes = os.O_RDWR | os.O_CREAT | os.O_APPEND
    redirect(os.open(os.devnull, os.O_RDWR), *(os.open(f"{folder}/{name}", modes) for name in ("out", "err")))
    os.chdir(cwd)
    _take(environment)
    sys.argv, sys.path[0] = ["bench", *arguments], cwd
    if module:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
        return
    envs.process.start = warm_workers.warm_start
    if {"sweep", "retry", "--launcher"} & set(arguments):
        _start_jobs_warm()
    main()


def _start_jobs_warm() -> None:
    """Jobs on this machine are forks, too: of a process that the command has forked before it does anything."""

    def begin(ours: socket.socket, theirs: socket.socket) -> None:
        if os.fork() == 0:
            ours.close()
            serve(theirs, _become_job)
            os._exit(0)

    jobs = Template(begin)

    def start(arguments: Sequence[str], out: IO[bytes], environment: Mapping[str, str]) -> Forked:
        *told, _ = arguments  # the last is the command's own number; it ends with its template instead
        return jobs.start([told, dict(environment)], [out.fileno()])

    local.start = start  # type: ignore[assignment]


def _become_job(told: Any, handed: list[int]) -> None:
    arguments, environment = told
    redirect(os.open(os.devnull, os.O_RDONLY), handed[0], os.dup(handed[0]))
    _take(environment)
    code = job.main([*arguments, str(os.getppid())])  # it ends with its template, which ends with the command
    leave(code)
    sys.exit(code)


def _take(environment: dict[str, str]) -> None:
    os.environ.clear()
    os.environ.update(environment)


def serve_commands() -> None:
    """What the template does: import, and fork."""
    for name in (
        "torch._dynamo",  # an optimiser imports it when it is made
        "benchmark.experiment.run_cells",
        "benchmark.report.plots",
        "matplotlib.backends.backend_agg",  # the plot of a cell
        "benchmark.launch.cell_work",
    ):
        importlib.import_module(name)
    load_settings("metaworld-15", "quick", "mlp")  # what is shipped is composed once
    for group, name in (("protocol", "quick"), ("head", "mlp")):
        show(group, name)
    warm_workers.the_template()  # one for the workers of all commands
    serve(socket.socket(fileno=int(sys.argv[1])), _become_bench)
