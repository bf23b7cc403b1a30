"""Simulators' processes that have imported numpy and `envs.serving` already (`tests.forking`).

A tenth of all the tests' CPU time was the start of some two thousand Python interpreters. MuJoCo is not imported before
the fork: its import opens a display. Where anything of the start itself is another (the interpreter, the environment,
the working folder), and in the tests that are about the start (`FRESH`), a new interpreter is started as in a run.
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
OWN = {"PYTEST_CURRENT_TEST"}
"""Of the environment what no worker reads."""
Surroundings = tuple[str, dict[str, str]]
TEMPLATES: list[Template] = []
BEGAN: list[Surroundings] = []
"""Those of the first test, before it changes any: with them the template is started, whichever test needs it first."""
fresh_start = envs.process.start


def warm_start(python: str, handed: Sequence[int], size: int | None, output: int) -> Forked | subprocess.Popen[bytes]:
    """As `envs.process.start`."""
    if python != sys.executable or output < 0 or [surroundings()] != BEGAN:
        return fresh_start(python, handed, size, output)
    if not TEMPLATES:
        TEMPLATES.append(Template(_begin))
        atexit.register(TEMPLATES[0].close)
    return TEMPLATES[0].start(size, [*handed, output])


def _begin(_: socket.socket, theirs: socket.socket) -> None:
    file = Path(__file__).with_name("worker_template.py")
    program = envs.process.LEND + f"import runpy\nrunpy.run_path({str(file)!r})"
    command = [sys.executable, "-c", program, str(Path(envs.process.__file__).parent), str(theirs.fileno())]
    subprocess.Popen(command, pass_fds=[theirs.fileno()], env=envs.process.environment(), start_new_session=True)


def surroundings() -> Surroundings:
    return os.getcwd(), {name: value for name, value in envs.process.environment().items() if name not in OWN}
