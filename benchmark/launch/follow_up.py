"""A command that the cluster issues by itself once a sweep's jobs are done: first pre-trainings, then their cells."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence

from benchmark.launch import slurm, squeue
from benchmark.launch.slurm import Resources
from benchmark.launch.sweep_file import Sweep
from benchmark.system.files import exclusive, write_json

FOLLOWS = "BENCH_FOLLOWS"
"""Set where a command runs as a follow-up: it must not submit again what it has waited for."""


class Again:
    """`bench WORDS` on a node, in the folder that it was first issued in."""

    def __init__(self, words: Sequence[str], folder: str) -> None:
        self.words, self.folder = list(words), folder

    def __call__(self) -> None:
        command = [sys.executable, "-m", "benchmark.cli", *self.words]
        code = subprocess.run(command, cwd=self.folder, env={**os.environ, FOLLOWS: "1"}, check=False).returncode
        if code:
            raise RuntimeError(f"bench {' '.join(self.words)} ended with code {code}; the reason is above")


def follow(sweep: Sweep, words: Sequence[str], resources: Resources) -> tuple[str, bool]:
    """Submit `bench WORDS` to run after the sweep's missing cells have succeeded: its job, and whether it is new.

    It never runs if one of them fails, and the same words wait once. Raises `ConfigError` if sbatch refuses.
    """
    with exclusive(sweep.folder / "submit.lock", f"submitting {sweep.name}", wait=True):
        there = squeue.waiting_and_running() or {}
        for file in (sweep.folder / "jobs").glob("*.json"):
            facts = json.loads(file.read_text())
            if facts.get("words") == list(words) and facts["then"]["0"] in there:
                return facts["then"]["0"], False
        jobs = slurm.jobs_of(sweep)
        arrays = sorted({squeue.array_of(jobs[number][-1]) for number in sweep.missing() if number in jobs})
        call = Again(words, os.getcwd())
        (job,) = slurm.send(sweep, "then", [(call, ())], resources, "afterok:" + ":".join(arrays) if arrays else None)
        facts = {"submitted": time.time(), "prepare": {}, "run": {}, "then": {"0": job}, "words": list(words)}
        write_json(sweep.folder / "jobs" / f"{time.time_ns()}.json", facts)
    return job, True


def is_follow_up() -> bool:
    return bool(os.environ.get(FOLLOWS))
