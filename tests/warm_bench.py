"""`bench` in a process of its own that has imported torch already: forked from one that imports it once.

A start of Python that trains imports for three seconds of CPU, which is most of what a command over the toy simulator
takes. Here each command is a fork of a process that has done nothing but import: it has its own memory, modules,
working folder, environment and end, and of a user's files it knows as little as a fresh one. What is about the start
itself (the interpreter's options, `sitecustomize`, a process that is killed) belongs to `tests.test_cli.bench`.
"""

from __future__ import annotations

import atexit
import importlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmark.cli.main import main

SERVER: list[subprocess.Popen[str]] = []
ROOT = Path(__file__).resolve().parents[1]


def warm_bench(*arguments: str, cwd: Path, **environment: str) -> tuple[int, str, str]:
    """Exit code, standard output and standard error, as `tests.test_cli.bench`."""
    if not SERVER:
        pipe, known = subprocess.PIPE, os.environ | {"PYTHONPATH": str(ROOT)}
        SERVER.append(subprocess.Popen([sys.executable, "-m", __name__], env=known, stdin=pipe, stdout=pipe, text=True))
        atexit.register(_end)
    asks, says = SERVER[0].stdin, SERVER[0].stdout
    assert asks is not None and says is not None
    with tempfile.TemporaryDirectory() as folder:
        out, err = Path(folder, "out"), Path(folder, "err")
        told = {"COLUMNS": "160", **os.environ, **environment}
        print(json.dumps([arguments, str(cwd), told, str(out), str(err)]), file=asks, flush=True)
        return int(says.readline()), out.read_text(), err.read_text()


def _end() -> None:
    SERVER[0].communicate(timeout=60)


def _serve() -> None:
    for name in ("torch._dynamo", "benchmark.experiment.run_cells", "benchmark.report.plots"):
        importlib.import_module(name)  # the first is what an optimiser imports when it is made
    for line in sys.stdin:
        arguments, cwd, environment, *files = json.loads(line)
        forked = os.fork()
        if not forked:
            for fd, file in zip((0, 1, 2), (os.devnull, *files), strict=True):
                os.dup2(os.open(file, os.O_RDWR | os.O_CREAT | os.O_APPEND), fd)
            os.chdir(cwd)
            os.environ.clear()
            os.environ.update(environment)
            sys.argv, sys.path[0] = ["bench", *arguments], cwd
            main()
        print(os.waitstatus_to_exitcode(os.waitpid(forked, 0)[1]), flush=True)


if __name__ == "__main__":
    _serve()
