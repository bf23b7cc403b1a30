"""A fork of a template ends as Python ends, without the second that it takes to take apart what was imported."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.forking import Template

PROGRAM = f"import sys; sys.path.insert(1, {str(Path(__file__).parent)!r}); import fork_ends; fork_ends.main()"


def ended(how: str, folder: Path) -> tuple[int, str, str]:
    def begin(_: socket.socket, theirs: socket.socket) -> None:
        subprocess.Popen([sys.executable, "-c", PROGRAM, str(theirs.fileno())], pass_fds=[theirs.fileno()])

    template = Template(begin)
    code = template.start([how, str(folder)]).wait(30)
    template.close()
    return code, (folder / "out").read_text(), (folder / "err").read_text()


@pytest.mark.parametrize(("how", "code", "err"), [("none", 0, ""), ("number", 3, ""), ("text", 1, "a reason\n")])
def test_a_fork_ends_as_python_ends(how: str, code: int, err: str, tmp_path: Path) -> None:
    assert ended(how, tmp_path) == (code, "said before a thread that was waited for\nsaid at exit\n", err)


def test_what_is_not_caught_is_shown(tmp_path: Path) -> None:
    code, out, err = ended("raises", tmp_path)
    assert (code, out) == (1, "") and err.startswith("Traceback") and err.endswith("ValueError: not caught\n")
