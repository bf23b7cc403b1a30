"""One job in its own process: `python -m benchmark.launch.job FOLDER prepare|run NUMBER`.

Exit codes: 0 done, 1 failed (the traceback is in the cell's work folder or the log), 3 another process has the cell,
130 stopped. A stop signal ends it as Ctrl-C does: simulators are closed, and everything finished is on the disk. So
does the end of the process that started it, even by kill -9.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import os
import signal
import sys
import traceback
from pathlib import Path
from types import FrameType

from benchmark.launch.sweep_file import load
from benchmark.system.files import write_atomically
from benchmark.system.process_exit import leave
from benchmark.system.progress import say
from methods.errors import no_exit

PR_SET_PDEATHSIG = 1


def work(folder: str, kind: str, number: int) -> int:
    """A cell's work in this process. Raises KeyboardInterrupt after a stop signal.

    What goes wrong before the cell is begun (other code, absent weights) is kept where its other failures are.
    """
    for name in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, _interrupt)
    sweep = load(Path(folder))
    try:
        module = importlib.import_module(sweep.work)
        return int({"prepare": module.prepare, "run": module.run}[kind](sweep, number))
    except KeyboardInterrupt:
        raise
    except BaseException:
        trace = traceback.format_exc()
        if kind == "run":
            with contextlib.suppress(OSError):  # a disk that is full may be the very reason; the log has it
                write_atomically(sweep.entries[number].work / "error.txt", lambda file: file.write(trace.encode()))
        raise


def main(arguments: list[str]) -> int:
    folder, kind, number, parent = arguments
    _end_with(int(parent))
    try:
        with no_exit():
            return work(folder, kind, int(number))
    except KeyboardInterrupt:
        say("stopped; the same sweep goes on from what is finished")
        return 130
    except BaseException:  # somebody's sys.exit(0), too: the cell has no record
        traceback.print_exc()
        return 1


def _end_with(parent: int) -> None:
    """Be told to stop when `parent` ends, by the kernel, however it ends. Linux only; elsewhere the cell finishes."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            raise SystemExit(130)  # it ended before it could be asked


def _interrupt(number: int, _: FrameType | None) -> None:
    raise KeyboardInterrupt(f"signal {number}")


if __name__ == "__main__":
    code = main(sys.argv[1:])
    leave(code)
    sys.exit(code)
