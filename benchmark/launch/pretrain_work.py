"""Pre-trainings as a sweep's work, so that a cluster's nodes do them: see `benchmark.launch.sweep_file`."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmark.launch.cell_work import check_code
from benchmark.launch.make_sweep import assemble
from benchmark.launch.sweep_file import Sweep, load
from benchmark.pretrain.data.config import DataConfig
from benchmark.pretrain.data.sources import open_frames
from benchmark.pretrain.job import PretrainJob
from benchmark.pretrain.objectives import needs_pictures, needs_triplets, open_objective
from benchmark.pretrain.processes import torchrun, under_torchrun
from benchmark.pretrain.run import pretrain
from benchmark.records.paths import Paths
from benchmark.settings.load import settle
from benchmark.settings.machine import resolve_workers
from benchmark.settings.pretraining import config_class
from benchmark.settings.runtime import Runtime
from benchmark.system.progress import say
from methods.weight_places import weights_folder

WORK = "benchmark.launch.pretrain_work"


def make_pretrain_sweep(
    jobs: Sequence[PretrainJob],
    paths: Paths,
    runtime: Runtime,
    command: str,
    code: dict[str, Any],
    profile: dict[str, Any],
    any_code: bool = False,
    write: bool = True,
    processes: int = 1,
    name: str | None = None,
) -> Sweep:
    """A sweep of these pre-trainings. Raises what `make_sweep` raises.

    processes: of each pre-training, one a GPU of its job. name: by default after the pre-trainings.
    """
    paths = Paths(paths.out.resolve(), paths.data.resolve())
    entries = {label(job): _entry(job, paths, runtime, processes) for job in jobs}
    facts = "\n".join(sorted(f"{name} {entry['identity_hash']}" for name, entry in entries.items()))
    name = name or f"pretrain-{jobs[0].method}-{hashlib.sha256(facts.encode()).hexdigest()[:6]}"
    settings = {label(job): job.identity() for job in jobs}
    return assemble(name, WORK, entries, settings, paths, command, code, profile, any_code, write)


def label(job: PretrainJob) -> str:
    return f"pretrain/{job.method}/{job.label}"


def prepare(sweep: Sweep, number: int) -> int:
    """The frames that all of these pre-trainings share, images included if one of them needs them."""
    check_code(sweep)
    job, runtime = _job(sweep, number)
    jobs = [_job(sweep, other)[0] for other in range(len(sweep.entries))]
    weights_folder(runtime.weights_dir)  # a text's tokens are looked for there
    fields = [open_objective(one.method, one.config).fields for one in jobs]
    caches, workers = Paths(sweep.out, sweep.data).caches, resolve_workers(runtime)
    for triplets in sorted({needs_triplets(names) for names in fields}):
        pictures = any(needs_pictures(names) for names in fields if needs_triplets(names) == triplets)
        open_frames(job.data, caches, pictures, workers, triplets)
    return 0


def run(sweep: Sweep, number: int) -> int:
    """The checkpoint and its card. Raises what `pretrain` raises."""
    check_code(sweep)
    processes = sweep.entries[number].spec["processes"]
    if processes > 1 and not under_torchrun():
        command = torchrun(processes, WORK, [str(sweep.folder), str(number)])
        return subprocess.run(command, check=False).returncode
    job, runtime = _job(sweep, number)
    card, new = pretrain(job, Paths(sweep.out, sweep.data), runtime, sweep.command)
    if card:  # torchrun's other processes have none
        say(f"{label(job)}: {'trained now' if new else 'was there'}, {card['steps']:,} steps")
    return 0


def _entry(job: PretrainJob, paths: Paths, runtime: Runtime, processes: int) -> dict[str, Any]:
    data = json.dumps([dataclasses.asdict(source) for source in job.data], sort_keys=True)
    return {
        "label": label(job),
        "record": str(job.card(paths.out)),
        "work": str(job.folder(paths.out)),
        "identity_hash": job.identity_hash(),
        "group": f"frames {hashlib.sha256(data.encode()).hexdigest()[:8]}",
        "device": runtime.device,
        "processes": processes,
        "spec": {**dataclasses.asdict(job), "runtime": dataclasses.asdict(runtime), "processes": processes},
    }


def _job(sweep: Sweep, number: int) -> tuple[PretrainJob, Runtime]:
    from benchmark.settings.catalog import register_baselines

    register_baselines()
    spec: dict[str, Any] = json.loads(json.dumps(sweep.entries[number].spec))
    config = settle(config_class(spec["method"]), spec["config"], "config")
    data = tuple(settle(DataConfig, source, source["name"]) for source in spec["data"])
    job = PretrainJob(spec["method"], config, data, spec["teacher"], spec["name"])
    if job.identity_hash() != sweep.entries[number].identity_hash:
        raise RuntimeError(f"{label(job)}: this code gives it another identity than the sweep was made with")
    return job, settle(Runtime, spec["runtime"], "runtime")


def missing(jobs: Sequence[PretrainJob], out: Path) -> list[PretrainJob]:
    """Those without their card and weights, or with others under their name."""
    from benchmark.records.pretraining_files import read_card

    return [
        job
        for job in jobs
        if (card := read_card(job.folder(out))) is None or card["identity_hash"] != job.identity_hash()
    ]


if __name__ == "__main__":
    sys.exit(run(load(Path(sys.argv[1])), int(sys.argv[2])))
