"""Whatever code was loaded, a command ends when it is done, and a crash of machine code says where it was."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

MINE = """
import dataclasses
from methods.controls import ProprioOnly
class Mine(ProprioOnly):
    card = dataclasses.replace(ProprioOnly.card, name="mine", reported_as=None)
"""


def show(tmp_path: Path, text: str) -> subprocess.CompletedProcess[str]:
    (tmp_path / "mine.py").write_text(text)
    main = (
        "import benchmark.system.process_exit; benchmark.system.process_exit.GRACE = 0.3; "
        "from benchmark.cli.main import main; main()"
    )
    command = [sys.executable, "-c", main, "show", "mine.py:Mine", "--json"]
    return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)


def test_a_thread_that_never_ends_does_not_hold_the_process(tmp_path: Path) -> None:
    done = show(tmp_path, f"import threading, time\nthreading.Thread(target=time.sleep, args=(3600,)).start()\n{MINE}")
    assert done.returncode == 0 and '"mine"' in done.stdout
    assert "without waiting for threads" in done.stderr.replace("\n", " ")


def test_a_thread_that_ends_is_waited_for(tmp_path: Path) -> None:
    late = "import threading, time\nthreading.Thread(target=time.sleep, args=(0.1,)).start()\n"
    done = show(tmp_path, late + MINE)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_crash_says_in_which_line(tmp_path: Path) -> None:
    done = show(tmp_path, f"{MINE}\nimport ctypes\nctypes.string_at(0)\n")
    assert done.returncode < 0 and done.stdout == ""
    assert "Segmentation fault" in done.stderr and 'mine.py", line 8' in done.stderr
