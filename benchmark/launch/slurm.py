"""A sweep over a Slurm cluster, by submitit: one array that prepares, one array of cells that waits for it.

What Slurm does to a job is survived by the cell's own files, not by submitit's pickles: a killed, requeued or
re-submitted job continues from its last checkpoint. `checkpoint()` only makes a time limit or a preemption come back by
itself.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from benchmark.launch import squeue
from benchmark.launch.job import work
from benchmark.launch.sweep_file import Sweep
from benchmark.settings.bounds import Range, check_bounds, shown
from benchmark.system.errors import ConfigError
from benchmark.system.files import exclusive, write_json
from benchmark.system.progress import say

PATIENCE = 90.0
"""Seconds that a stopped job waits for what Slurm does next."""


@dataclass(frozen=True)
class Resources:
    """What a job asks for; None is left to the cluster. extra: further sbatch fields. setup: lines before the job.

    gpus: for each node. time, minutes. signal_delay: seconds before the limit at which the job is told to come back.
    requeues: how often a job may reach its time limit. python: the nodes' interpreter, None for the submitting one.
    """

    partition: str | int | None = None
    gpus: int | str | None = None
    cpus: Annotated[int, Range(1, 4_096)] = 4
    mem: str | int = "8GB"
    time: Annotated[int, Range(1, 1_000_000)] = 1440
    array_parallelism: Annotated[int, Range(1, 100_000)] = 64
    qos: str | int | None = None
    account: str | int | None = None
    constraint: str | int | None = None
    signal_delay: Annotated[int, Range(0, 65_535)] = 120
    requeues: Annotated[int, Range(0, 10_000)] = 20
    python: str | None = None
    extra: tuple[tuple[str, Any], ...] = ()
    setup: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Raises `ConfigError`."""
        check_bounds(self, "launcher")
        if self.gpus is not None and not re.fullmatch(r"([\w.-]+:)?[0-9]{1,3}", str(self.gpus), re.ASCII):
            raise ConfigError(
                f"launcher.gpus={shown(self.gpus)} is not allowed: it must be a number, or a kind and a number such as "
                "a100:1"
            )
        if not re.fullmatch(r"[0-9]+([KMGT]B?)?", str(self.mem), re.ASCII | re.IGNORECASE):
            raise ConfigError(f"launcher.mem={shown(self.mem)} is not allowed: it must be a size such as 16GB")
        for name in ("partition", "qos", "account", "constraint", "python"):
            value = getattr(self, name)
            if value is not None and (not str(value) or not str(value).isprintable()):
                raise ConfigError(f"launcher.{name}={shown(value)} is not allowed: it must be a name")


class Job:
    """What submitit runs on a node."""

    def __init__(self, folder: str, kind: str, label: str) -> None:
        self.folder, self.kind, self.label = folder, kind, label

    def __call__(self, number: int) -> int:
        _name_this_job(self.label)
        try:
            code = work(self.folder, self.kind, number)
        except KeyboardInterrupt:
            # SIGTERM comes before a cancellation's kill, but on some clusters also with a preemption. The simulators
            # are closed by now; leaving would make Slurm count the job as failed instead of requeueing it.
            say(f"told to stop; waiting at most {PATIENCE:.0f} s to be requeued or killed")
            time.sleep(PATIENCE)
            raise
        if code not in (0, 3):
            raise RuntimeError(f"{self.label} ended with code {code}; the reason is above")
        return code

    def checkpoint(self, number: int) -> Any:
        """Called at the time limit and at a preemption: the same job again, which continues from its files."""
        import submitit

        return submitit.helpers.DelayedSubmission(self, number)


def submit(sweep: Sweep, numbers: Sequence[int], resources: Resources) -> dict[str, list[str]]:
    """Submit cells that no job has yet; returns the new job ids by kind, which are kept in the sweep's folder as well.

    Raises `ConfigError` with sbatch's words if it refuses; what it has taken by then is kept all the same.
    """
    if shutil.which("sbatch") is None:
        raise ConfigError("sbatch is not here: submit from a machine of the cluster, or use --launcher local")
    with exclusive(sweep.folder / "submit.lock", f"submitting {sweep.name}", wait=True, notify=say):
        taken = queued(sweep)
        numbers = [number for number in numbers if number not in taken]
        groups: dict[str, list[int]] = {}
        for number in numbers:
            groups.setdefault(sweep.entries[number].group, []).append(number)
        first = [members[0] for members in groups.values() if len(members) > 1]
        facts: dict[str, Any] = {"submitted": time.time(), "prepare": {}, "run": {}}
        file = sweep.folder / "jobs" / f"{time.time_ns()}.json"
        for kind, chosen in (("prepare", first), ("run", numbers)):
            after = sorted({squeue.array_of(job) for job in facts["prepare"].values()})
            for part in _parts(chosen):
                facts[kind] |= _array(sweep, kind, part, resources, after)
                write_json(file, facts)
    return {"prepare": list(facts["prepare"].values()), "run": list(facts["run"].values())}


def jobs_of(sweep: Sweep, kind: str = "run") -> dict[int, list[str]]:
    """The jobs that each cell was given, oldest first."""
    found: dict[int, list[str]] = {}
    submissions = [json.loads(file.read_text()) for file in (sweep.folder / "jobs").glob("*.json")]
    for submission in sorted(submissions, key=lambda one: one["submitted"]):
        for number, job in submission.get(kind, {}).items():
            found.setdefault(int(number), []).append(job)
    return found


def queued(sweep: Sweep) -> set[int]:
    """Cells that have a job waiting or running. Empty where Slurm does not answer."""
    there = squeue.waiting_and_running() or {}
    return {number for number, jobs in jobs_of(sweep).items() if any(job in there for job in jobs)}


def logs_of(sweep: Sweep, number: int) -> list[Path]:
    """What the jobs of a cell have written, oldest first."""
    found = []
    for kind in ("prepare", "run"):
        for job in jobs_of(sweep, kind).get(number, []):
            folder = sweep.folder / "slurm" / squeue.array_of(job)
            found += sorted(folder.glob(f"{job}_*_log.out")) + sorted(folder.glob(f"{job}_*_log.err"))
    return found


def cancel(sweep: Sweep) -> list[str]:
    """scancel what is left of the sweep in the queue; returns the arrays' ids. Raises `ConfigError` without Slurm."""
    there = squeue.waiting_and_running()
    if there is None and jobs_of(sweep):
        raise ConfigError("Slurm does not answer (squeue); nothing was cancelled")
    mine = [job for kind in ("prepare", "run", "then") for jobs in jobs_of(sweep, kind).values() for job in jobs]
    arrays = sorted({squeue.array_of(job) for job in mine if job in (there or {})})
    if arrays:
        subprocess.run(["scancel", *arrays], check=True)
    return arrays


def _parts(numbers: list[int]) -> list[list[int]]:
    """Several where the cluster's largest array is too small."""
    limit = squeue.largest_array() if len(numbers) > 1 else 1
    return [numbers[start : start + limit] for start in range(0, len(numbers), limit)]


def _array(sweep: Sweep, kind: str, numbers: list[int], r: Resources, after: list[str]) -> dict[str, str]:
    """Submit one array. Cells' numbers (as JSON keys) to job ids."""
    # the cells run even if a preparation failed: they prepare for themselves, and keep the traceback
    dependency = "afterany:" + ":".join(after) if kind == "run" and after else None
    entries = sweep.entries
    jobs = [Job(str(sweep.folder), kind, entries[n].label if kind == "run" else entries[n].group) for n in numbers]
    ids = send(sweep, kind, [(job, (number,)) for job, number in zip(jobs, numbers, strict=True)], r, dependency)
    return {str(number): job for number, job in zip(numbers, ids, strict=True)}


def send(
    sweep: Sweep,
    kind: str,
    calls: Sequence[tuple[Callable[..., Any], tuple[Any, ...]]],
    r: Resources,
    dependency: str | None,
) -> list[str]:
    """One array of calls, with their logs in the sweep's folder; returns the job ids. Raises `ConfigError`."""
    import submitit

    executor = submitit.AutoExecutor(
        sweep.folder / "slurm" / "%A", cluster="slurm", slurm_max_num_timeout=r.requeues, slurm_python=r.python
    )
    additional = {"requeue": True, "kill-on-invalid-dep": "yes"} | dict(r.extra)
    if dependency:
        additional["dependency"] = dependency
    optional = {
        "slurm_partition": r.partition,
        "slurm_qos": r.qos,
        "slurm_account": r.account,
        "slurm_constraint": r.constraint,
        "slurm_gpus_per_node": r.gpus,
    }
    executor.update_parameters(
        name=f"{sweep.name}.{kind}",
        timeout_min=r.time,
        cpus_per_task=r.cpus,
        slurm_mem=r.mem,
        slurm_array_parallelism=r.array_parallelism,
        slurm_signal_delay_s=r.signal_delay,
        slurm_setup=["export OMP_NUM_THREADS=${SLURM_CPUS_PER_TASK:-1}", *r.setup],
        slurm_additional_parameters=additional,
        **{key: value for key, value in optional.items() if value is not None},
    )
    try:
        with executor.batch():
            submitted = [executor.submit(call, *arguments) for call, arguments in calls]
    except submitit.core.utils.FailedJobError as error:
        raise ConfigError(f"sbatch refused the jobs: {' '.join(str(error).split())}") from error
    return [job.job_id for job in submitted]


def _name_this_job(label: str) -> None:
    """So that `squeue` says what a task of the array does. A courtesy: the job runs without it."""
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        job, name = os.environ["SLURM_JOB_ID"], "/".join(label.split("/")[1:]) or label
        command = ["scontrol", "update", f"JobId={job}", f"JobName={name}"]
        subprocess.run(command, capture_output=True, timeout=10)
