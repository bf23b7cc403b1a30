"""What `tests/test_forking.py` has forks do, in a template of its own: a fork of pytest's own process would do at its
end what that process does at its end, and take all of pytest along.

Needs no other file of the tests but `forking.py`, beside which it is imported.
"""

from __future__ import annotations

import atexit
import os
import socket
import sys
import threading
import time

from forking import redirect, serve  # type: ignore[import-not-found]


def _late() -> None:
    time.sleep(0.2)
    print("a thread that was waited for")


def become(told: tuple[str, str], _: list[int]) -> None:
    how, folder = told
    modes = os.O_RDWR | os.O_CREAT
    redirect(os.open(os.devnull, os.O_RDWR), *(os.open(f"{folder}/{name}", modes) for name in ("out", "err")))
    if how == "raises":
        raise ValueError("not caught")
    atexit.register(print, "said at exit")
    threading.Thread(target=_late).start()
    print("said before", end=" ")
    sys.exit({"none": None, "number": 3, "text": "a reason"}[how])


def main() -> None:
    serve(socket.socket(fileno=int(sys.argv[1])), become)
