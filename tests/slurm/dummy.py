"""Cells of a tenth of a second with the real locks, signs of life and records, to load a launcher with."""

from __future__ import annotations

import dataclasses
import functools
import os
import time
from pathlib import Path
from typing import Any

from benchmark.launch.sweep_file import FORMAT, Sweep, load
from benchmark.records.read import read
from benchmark.records.record import Record
from benchmark.records.write import write
from benchmark.system.files import Busy, exclusive, write_json
from benchmark.system.heartbeat import Heartbeat, this_start
from tests.made_records import agreeing

ROOT = Path(__file__).resolve().parents[2]
MODEL = ROOT / "results/measured/clar/metaworld-15/reach/dp3/mlp-s0.json"


@functools.cache
def model() -> Record:
    return read(MODEL)


def made(number: int) -> Record:
    """The record of one cell: a real one's outcomes under a suite of its own."""
    return agreeing(dataclasses.replace(model(), suite="dummy", task="task", seed=number, migrated={}, seal=""))


def make(out: Path, count: int, profile: dict[str, Any]) -> Sweep:
    """A sweep of `count` of them."""
    cells = []
    for number in range(count):
        label = f"dummy/task/dp3/mlp-s{number}"
        record = out / "records" / f"clar/{label}.json"
        cells.append(
            {
                "label": label,
                "spec": {},
                "record": str(record),
                "work": str(out / "work" / label),
                "identity_hash": made(number).identity_hash,
                "group": f"group {number % 5}",
            }
        )
    data = {
        "format": FORMAT,
        "work": "tests.slurm.dummy",
        "command": "dummy",
        "code": {},
        "any_code": True,
        "profile": profile,
        "out": str(out),
        "data": str(out / "data"),
        "made": time.time(),
        "cells": cells,
    }
    write_json(out / "sweeps" / "load" / "sweep.json", data)
    return load(out / "sweeps" / "load")


def prepare(sweep: Sweep, number: int) -> int:
    _note(sweep, f"prepare {sweep.entries[number].group}")
    return 0


def run(sweep: Sweep, number: int) -> int:
    entry = sweep.entries[number]
    try:
        with exclusive(entry.work / "lock", entry.label, wait=False):
            if entry.done:
                return 0
            with Heartbeat(entry.work, this_start("cpu", "none", 1, None)):
                time.sleep(0.1)
                _note(sweep, f"run {entry.label}")
                write(made(number), entry.record)
    except Busy:
        return 3
    return 0


def _note(sweep: Sweep, what: str) -> None:
    """One line for every piece of work done, by whoever did it."""
    handle = os.open(sweep.out / "done.txt", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.write(handle, f"{what}\n".encode())
    os.close(handle)
