"""A fork of a template ends as Python ends, without the second that it takes to take apart what was imported."""

from __future__ import annotations

import atexit
import os
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.forking import Template, redirect, serve


def _late(name: str) -> None:
    time.sleep(0.2)
    print("a thread that was waited for")


def _exits(name: str) -> None:
    atexit.register(print, "said at exit")
    threading.Thread(target=_late, args=(name,)).start()
    print("said before", end=" ")
    sys.exit({"none": None, "number": 3, "text": "a reason"}[name])


def _raises(name: str) -> None:
    raise ValueError("not caught")


def ended(become: Callable[[str], None], told: str, folder: Path) -> tuple[int, str, str]:
    def fork(words: str, _: list[int]) -> None:
        modes = os.O_RDWR | os.O_CREAT
        redirect(os.open(os.devnull, os.O_RDWR), *(os.open(folder / name, modes) for name in ("out", "err")))
        sys.stdout, sys.stderr = (os.fdopen(fd, "w", closefd=False) for fd in (1, 2))  # pytest has replaced them
        become(words)

    def begin(ours: socket.socket, theirs: socket.socket) -> None:
        if os.fork() == 0:
            ours.close()
            serve(theirs, fork)
            os._exit(0)

    template = Template(begin)
    code = template.start(told).wait(30)
    template.close()
    return code, (folder / "out").read_text(), (folder / "err").read_text()


@pytest.mark.parametrize(("told", "code", "err"), [("none", 0, ""), ("number", 3, ""), ("text", 1, "a reason\n")])
def test_a_fork_ends_as_python_ends(told: str, code: int, err: str, tmp_path: Path) -> None:
    assert ended(_exits, told, tmp_path) == (code, "said before a thread that was waited for\nsaid at exit\n", err)


def test_what_is_not_caught_is_shown(tmp_path: Path) -> None:
    code, out, err = ended(_raises, "", tmp_path)
    assert (code, out) == (1, "") and err.startswith("Traceback") and err.endswith("ValueError: not caught\n")
