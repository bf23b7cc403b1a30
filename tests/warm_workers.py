"""Simulators' processes that have imported numpy, SciPy and `envs.serving` already (`tests.forking`).

A tenth of all the tests' CPU time was the start of some two thousand Python interpreters. MuJoCo is not imported before
the fork: its import opens a display. A fork takes the environment and the working folder of the test that asks for it.
Where what is read before that is another (the interpreter, `READ_AT_START`), and in the tests that are about the start
(`FRESH`), a new interpreter is started as in a run.
"""

from __future__ import annotations

import atexit
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import envs.process
from tests.forking import Forked, Template

FRESH = ("test_messages.py", "test_other_interpreter.py", "test_pool.py", "test_survival.py")
"""Files of tests/envs in which every worker is started as in a run."""
READ_AT_START = ("PYTHON", "LANG", "LC_", "LD_", "MALLOC_", "THP_", "GOMP_", "OMP_", "OPENBLAS_", "NPY_")
"""How the variables begin that Python, the C library and numpy read when they are loaded."""
TEMPLATES: list[tuple[Template, dict[str, str]]] = []
fresh_start = envs.process.start


def warm_start(python: str, handed: Sequence[int], size: int | None, output: int) -> Forked | subprocess.Popen[bytes]:
    """As `envs.process.start`."""
    told = envs.process.environment()
    template, has_read = the_template()
    read = {name: value for name, value in told.items() if name.startswith(READ_AT_START)}
    if python != sys.executable or output < 0 or read != has_read:
        return fresh_start(python, handed, size, output)
    return template.start([size, os.getcwd(), told], [*handed, output])


def the_template() -> tuple[Template, dict[str, str]]:
    """It, begun by the first who asks, and what of `READ_AT_START` it has read."""
    if not TEMPLATES:
        read = {name: value for name, value in envs.process.environment().items() if name.startswith(READ_AT_START)}
        TEMPLATES.append((Template(_begin), read))
        atexit.register(TEMPLATES[0][0].close)
    return TEMPLATES[0]


def _begin(_: socket.socket, theirs: socket.socket) -> None:
    file = Path(__file__).with_name("worker_template.py")
    program = envs.process.LEND + f"import runpy\nrunpy.run_path({str(file)!r})"
    command = [sys.executable, "-c", program, str(Path(envs.process.__file__).parent), str(theirs.fileno())]
    subprocess.Popen(command, pass_fds=[theirs.fileno()], env=envs.process.environment(), start_new_session=True)
