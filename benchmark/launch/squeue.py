"""What Slurm knows of jobs. Every question has a time limit, and None for an answer where Slurm gives none."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence

PATIENCE = 3.0
"""Seconds for an answer."""
MOST = 1000
"""Tasks of an array where the cluster does not say how many it takes (Slurm's default)."""


def waiting_and_running() -> dict[str, tuple[str, str]] | None:
    """This user's jobs as `123_4`, or `123` outside an array: state and reason."""
    text = _ask(["squeue", "--me", "--noheader", "--array", "--format", "%i|%T|%r"])
    if text is None:
        return None
    rows = [line.strip().split("|", 2) for line in text.splitlines() if line.strip()]
    return {row[0]: (row[1], row[2]) for row in rows if len(row) == 3}


def ended(arrays: Sequence[str]) -> dict[str, str]:
    """Last known states of jobs, such as OUT_OF_MEMORY: from the accounting, or from what the controller still knows.

    Jobs that neither remembers are left out.
    """
    if not arrays:
        return {}
    text = _ask(["sacct", "-X", "-n", "-P", "-o", "JobID,State", "-j", ",".join(arrays)])
    if text is not None:
        rows = [line.split("|") for line in text.splitlines()]
        return {row[0]: row[1].split()[0] for row in rows if len(row) == 2 and row[1]}
    found: dict[str, str] = {}
    for array in arrays:
        for line in (_ask(["scontrol", "-o", "show", "job", array]) or "").splitlines():
            facts = dict(re.findall(r"(\w+)=(\S+)", line))
            task = facts.get("ArrayTaskId")
            found[f"{facts['ArrayJobId']}_{task}" if task else facts["JobId"]] = facts["JobState"]
    return found


def largest_array() -> int:
    text = _ask(["scontrol", "show", "config"]) or ""
    found = re.search(r"MaxArraySize\s*=\s*(\d+)", text)
    return max(1, int(found[1]) - 1) if found else MOST


def array_of(job: str) -> str:
    """`123` of `123_4`."""
    return job.partition("_")[0]


def _ask(command: Sequence[str]) -> str | None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
