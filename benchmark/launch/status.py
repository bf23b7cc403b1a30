"""How a sweep stands: from its files, and from Slurm where it answers, so that each covers for the other.

Imports neither torch nor a simulator, because people call it every few seconds.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from typing import Any

from benchmark.launch import squeue
from benchmark.launch.slurm import jobs_of
from benchmark.launch.sweep_file import Entry, Sweep
from benchmark.report.tables.table import Table
from benchmark.system.heartbeat import BEAT, BEATS_MISSED, FILE, read_attempts, read_json

STATES = ("done", "running", "waiting", "stopped", "failed")
SHORT = 30
"""Cells of a sweep that is shown whole."""
ALWAYS = 2
"""Columns that are there even if nothing is in them."""
QUIET = ("done", "waiting")
ENDED_BY_HAND = ("CANCELLED", "COMPLETED", "PREEMPTED")
"""Last states of a job after which a cell without a record has been stopped, not failed."""


@dataclass(frozen=True)
class State:
    """One cell. state: one of `STATES`; `stopped` has begun, or was submitted, and nobody works on it any more.

    epoch: `30/150`. last: the last evaluation's successes, the retest's for a cell that is done. left: time to the end
    of training. restarts: starts after the first. detail: phase and place, or the reason.
    """

    label: str
    state: str
    epoch: str = ""
    last: str = ""
    left: str = ""
    restarts: int = 0
    detail: str = ""


@dataclass(frozen=True)
class Jobs:
    """What Slurm says of one cell's jobs. newest: None if it was never submitted. queued: state and reason there.

    answers: whether Slurm answered at all. ended: the newest job's last state, where it is known.
    """

    newest: str | None = None
    queued: tuple[str, str] | None = None
    answers: bool = False
    ended: str | None = None


def done_state(entry: Entry) -> State | None:
    """The state of a cell that has its record, else None."""
    record = entry.record_facts()
    if record is None:
        return None
    restarts = max(0, len(record["provenance"].get("attempts", [])) - 1)
    last = _counts("retest ", record["retest"]["tally"]) if "retest" in record else ""  # a pre-training has none
    return State(entry.label, "done", last=last, restarts=restarts)


def cell_state(entry: Entry, jobs: Jobs, now: float | None = None) -> State:
    """The state of a cell without a record."""
    now = now or time.time()
    attempts = read_attempts(entry.work)
    restarts = max(0, len(attempts) - 1)
    heartbeat, progress = read_json(entry.work / FILE), read_json(entry.work / "progress.json")
    evaluations = progress.get("evaluations", [])
    last = _counts("", evaluations[-1]["tally"]) if evaluations else ""
    epoch = f"{heartbeat.get('epoch', evaluations[-1]['epoch'] if evaluations else 0)}/{heartbeat.get('epochs', '?')}"
    epoch = epoch if "epochs" in heartbeat or evaluations else ""  # before training nobody has said how many

    def say(state: str, detail: str, left: str = "") -> State:
        return State(entry.label, state, epoch, last, left, restarts, detail)

    fresh = bool(heartbeat) and now - heartbeat["updated"] < BEATS_MISSED * BEAT
    if fresh and jobs.answers and jobs.queued is None and heartbeat.get("job") == jobs.newest is not None:
        fresh = False  # its file is fresh, but Slurm knows that the job is gone
    if fresh:
        return say("running", f"{heartbeat['phase']}, {_where(heartbeat)}", _left(heartbeat, now))
    if jobs.queued is not None and jobs.queued[0] == "PENDING":
        return say("waiting", f"job {jobs.newest} in the queue: {jobs.queued[1]}")
    if jobs.queued is not None:
        return say("running", f"job {jobs.newest} {jobs.queued[0].lower()}, no sign of life from the cell yet")
    error = entry.work / "error.txt"
    if error.exists():
        return say("failed", (error.read_text().strip().splitlines() or ["?"])[-1])
    if jobs.ended is not None and jobs.ended not in ENDED_BY_HAND:
        return say("failed", f"job {jobs.newest} ended as {jobs.ended}; its log says more")
    silence = (
        f"no sign of life for {(now - heartbeat['updated']) / 60:.0f} min, was {heartbeat['phase']}"
        if heartbeat
        else ""
    )
    if jobs.ended is not None:
        return say("stopped", ", ".join(filter(None, [f"job {jobs.newest} {jobs.ended.lower()}", silence])))
    if heartbeat:
        return say("stopped", f"{silence}, {_where(heartbeat)}")
    if jobs.newest is not None:
        known = "gone from the queue" if jobs.answers else "and Slurm does not answer"
        return say("stopped" if jobs.answers else "waiting", f"job {jobs.newest} {known}")
    return say("stopped", "goes on from what is finished") if evaluations or attempts else say("waiting", "")


def states(sweep: Sweep) -> list[State]:
    found = {number: done_state(entry) for number, entry in enumerate(sweep.entries)}
    given = {number: jobs[-1] for number, jobs in jobs_of(sweep).items() if found[number] is None}
    there = squeue.waiting_and_running() if given else None
    gone = sorted({squeue.array_of(job) for job in given.values() if job not in (there or {})})
    ended = squeue.ended(gone) if there is not None else {}

    def state(number: int) -> State:
        job = given.get(number)
        jobs = Jobs(job, (there or {}).get(job or ""), there is not None, ended.get(job or ""))
        return found[number] or cell_state(sweep.entries[number], jobs)

    return [state(number) for number in range(len(sweep.entries))]


def status_table(sweep: Sweep, found: list[State], everything: bool = False) -> Table:
    """Of a large sweep only the cells that are worth a look, unless `everything`."""
    counts = Counter(state.state for state in found)
    title = f"Sweep {sweep.name}: {', '.join(f'{counts[s]} {s}' for s in STATES if counts[s])} of {len(found)}"
    order = {"failed": 0, "running": 1, "stopped": 2, "waiting": 3, "done": 4}
    rows: tuple[tuple[str, ...], ...] = tuple(
        (s.label, s.state, s.epoch, s.last, s.left, str(s.restarts or ""), s.detail)
        for s in sorted(found, key=lambda s: (order[s.state], s.label))
        if everything or len(found) <= SHORT or s.state not in QUIET
    )
    notes = [f"{sweep.command}", f"folder: {sweep.folder}"]
    if len(rows) < len(found):
        notes.append(f"not shown: {', '.join(f'{counts[s]} {s}' for s in QUIET if counts[s])}; --all shows them")
    if counts["failed"]:
        notes.append(f"run the failed ones again: bench retry {sweep.name}")
    if counts["stopped"] + counts["waiting"] and not counts["running"]:
        notes.append("to resume what no process works on, run the same command again")
    columns = ("cell", "state", "epoch", "last", "left", "restarts", "detail")
    told = [n for n in range(len(columns)) if n < ALWAYS or any(row[n] for row in rows)]  # of a finished one, few
    rows = tuple(tuple(row[n] for n in told) for row in rows)
    return Table(title, tuple(columns[n] for n in told), rows, tuple(notes), text_columns=len(told))


def _where(heartbeat: dict[str, Any]) -> str:
    who = f"job {heartbeat['job']}" if heartbeat.get("job") else f"process {heartbeat.get('pid')}"
    return f"{heartbeat.get('node') or heartbeat.get('host')}, {who}"


def _left(heartbeat: dict[str, Any], now: float) -> str:
    """As long again for each epoch as since the start; nothing before the first one."""
    begun, epoch, epochs = heartbeat.get("epoch_at_start", 0), heartbeat.get("epoch", 0), heartbeat.get("epochs", 0)
    if epoch <= begun:
        return ""
    minutes = (now - heartbeat.get("training_since", heartbeat["began"])) / (epoch - begun) * (epochs - epoch) / 60
    return f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.1f} h"


def _counts(what: str, tally: dict[str, int]) -> str:
    return f"{what}{tally['k']}/{tally['n']}"
