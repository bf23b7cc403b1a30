"""Who works on a cell: a sign of life that is renewed while a process lives, and the list of all who have begun it.

`status.json` is rewritten at every change and every `BEAT` seconds, so a file that nobody renews belongs to a process
that is gone, however it went. `attempts.json` names each start with its machine, device, torch and commit; the record
carries it, because a cell that was begun on one GPU and finished on another is worth knowing.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmark.system import checked_json
from benchmark.system.files import Busy, write_json

FILE = "status.json"
ATTEMPTS = "attempts.json"
BEAT = 20.0
"""Seconds between two signs of life."""
BEATS_MISSED = 3
"""Beats without a sign after which a process counts as gone."""


class Heartbeat:
    """Use as a context manager around the work in `folder`. facts: what is known of this start."""

    def __init__(self, folder: Path, facts: dict[str, Any]) -> None:
        self.path = folder / FILE
        self.attempts = [*read_attempts(folder), {"began": time.time(), **facts}]
        self.facts: dict[str, Any] = {
            **self.attempts[-1],
            "pid": os.getpid(),
            "phase": "starting",
            "attempt": len(self.attempts),
        }
        self._written = 0.0
        self._stop = threading.Event()
        self._mutex = threading.Lock()
        self._thread = threading.Thread(target=self._beat, daemon=True)

    def __enter__(self) -> Heartbeat:
        write_json(self.path.with_name(ATTEMPTS), self.attempts)
        self._write()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self.path.unlink(missing_ok=True)

    def say(self, **facts: Any) -> None:
        """Change what the file says, such as phase="training", epoch=20. At most once a second but for a new phase."""
        new = facts.get("phase", self.facts["phase"]) != self.facts["phase"]
        self.facts.update(facts)
        if new or time.monotonic() - self._written > 1:
            self._write()

    def _beat(self) -> None:
        while not self._stop.wait(BEAT):
            self._write()

    def _write(self) -> None:
        # a sign of life is not worth a cell; the cell itself will say that the disk is full
        with self._mutex, contextlib.suppress(OSError):
            self._written = time.monotonic()
            write_json(self.path, {**self.facts, "updated": time.time()})


def wait_until_heartbeat_stops(folder: Path, what: str, notify: Callable[[str], None], beat: float = BEAT) -> None:
    """Return once nobody on another machine gives signs of life here. Raises `Busy` if somebody does.

    For filesystems whose locks do not reach other machines: whoever holds the lock here still waits, until a sign that
    was left by another machine has not been renewed for three beats. Two readings of the file are compared with each
    other, never with this machine's clock.
    """
    first = read_json(folder / FILE)
    if not first or first.get("host") == socket.gethostname():
        return  # on this machine the lock has settled it
    notify(f"{what} was last worked on by {first.get('host')}; waiting {BEATS_MISSED * beat:.0f} s for a sign of life")
    end = time.monotonic() + BEATS_MISSED * beat
    while time.monotonic() < end:
        time.sleep(min(1.0, beat))
        if read_json(folder / FILE).get("updated", first.get("updated")) != first.get("updated"):
            raise Busy(f"{what} is being worked on by process {first.get('pid')} on {first.get('host')}")


def this_start(device: str, torch: str, threads: int, commit: str | None) -> dict[str, Any]:
    """The facts of a start: what its last bits depend on, and Slurm's job where there is one."""
    return {
        "host": socket.gethostname(),
        "node": os.environ.get("SLURMD_NODENAME"),
        "job": job_id(),
        "device": device,
        "torch": torch,
        "threads": threads,
        "commit": commit,
    }


def job_id() -> str | None:
    """Slurm's id of this process, `123_4` in an array."""
    array, task = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    return f"{array}_{task}" if array and task else os.environ.get("SLURM_JOB_ID")


def read_attempts(folder: Path) -> list[dict[str, Any]]:
    try:
        found = checked_json.read_json(folder / ATTEMPTS)
    except checked_json.NotPlain:
        return []
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def read_json(path: Path) -> dict[str, Any]:
    """The file's content; {} if it is not there, being replaced, damaged, or anything else than an object."""
    try:
        found = checked_json.read_json(path)
    except checked_json.NotPlain:
        return {}
    return found if isinstance(found, dict) else {}
