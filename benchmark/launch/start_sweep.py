"""A sweep to whoever runs it."""

from __future__ import annotations

import importlib
from typing import Any

from benchmark.launch import local, slurm
from benchmark.launch.gpus import gpus_for
from benchmark.launch.profile import resources
from benchmark.launch.squeue import array_of
from benchmark.launch.sweep_file import Sweep
from benchmark.system.files import exclusive
from benchmark.system.progress import say


def launch(sweep: Sweep, profile: dict[str, Any], only: list[int] | None = None) -> dict[str, Any]:
    """Run or submit what is missing, or `only` these. `failed` counts cells that ended without a record just now."""
    absent = sweep.missing()
    missing, there = (absent if only is None else only), len(sweep.entries) - len(absent)
    facts: dict[str, Any] = {"sweep": sweep.name, "folder": str(sweep.folder), "there": there, "failed": 0, "busy": 0}
    if not missing:
        return facts | {"text": f"{sweep.name}: all {there} cells have their records"}
    if profile["kind"] == "slurm":
        jobs = slurm.submit(sweep, missing, resources(profile))
        return facts | {"jobs": jobs, "text": _submitted(sweep, jobs, len(missing))}
    if profile["kind"] == "debug":
        result = _in_process(sweep, missing)
    else:
        with exclusive(sweep.folder / "local.lock", f"sweep {sweep.name} on this machine", wait=False):
            gpus, each = gpus_for([sweep.entries[number] for number in missing])
            room = local.rooms(gpus, each, profile.get("cells_per_gpu", 1))
            free = local.slots(profile.get("jobs"), profile.get("memory_gb", 3.0), room)
            say(f"{sweep.name}: {len(missing)} cells, {len(free)} at once with {len(free[0].cores)} cores each")
            say(f"watch it from another terminal: bench status --out {sweep.out} --watch")
            result = local.run_local(sweep, missing, free)
    lines = [f"{sweep.name}: {there + len(result.done)} of {len(sweep.entries)} cells have their records"]
    lines += [f"FAILED {_label(sweep, n)}: bench logs {_label(sweep, n)}" for n in result.failed]
    lines += [f"another process has {_label(sweep, n)}" for n in result.busy]
    return facts | {"failed": len(result.failed), "busy": len(result.busy), "text": "\n".join(lines)}


def _submitted(sweep: Sweep, jobs: dict[str, list[str]], missing: int) -> str:
    watch = f"watch: bench status {sweep.name} --out {sweep.out} --watch"
    new = len(jobs["run"])
    queued = f"{missing - new} of {missing} missing cells are in the queue already"
    if not new:
        return f"{sweep.name}: {queued}\n{watch}"
    after = f", after {_arrays(jobs['prepare'])} prepares" if jobs["prepare"] else ""
    return (
        f"{sweep.name}: {new} cells submitted as {_arrays(jobs['run'])}{after}"
        f"{'; ' + queued if new < missing else ''}\n{watch}"
    )


def _in_process(sweep: Sweep, numbers: list[int]) -> local.Result:
    module = importlib.import_module(sweep.work)
    result = local.Result()
    for number in numbers:
        code = module.run(sweep, number)
        (result.done if code == 0 else result.busy if code == 3 else result.failed).append(number)
    return result


def _label(sweep: Sweep, number: int) -> str:
    return sweep.entries[number].label


def _arrays(jobs: list[str]) -> str:
    return ", ".join(sorted({array_of(job) for job in jobs}))
