"""The report of `bench perf`: every line a ratio with its target."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from benchmark.perf import encoding, floors, keyframes, pretraining, rollouts_and_training, view_frames
from benchmark.perf.rollouts_and_training import POINTS, request_for
from benchmark.pretrain.data.config import DataConfig
from benchmark.settings.machine import resolve_workers
from benchmark.settings.runtime import Runtime
from benchmark.system.progress import say
from benchmark.system.provenance import describe_machine, git_state
from envs.spec import ObservationRequest

ROUNDS = 3


class Report:
    """Rows of (what, ours, floor, ratio, target, whether it is met), said as they come."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []

    def add(self, what: str, ours: float, floor: float, unit: str, target: float | None, at_least: bool = True) -> None:
        """target: None for what is only told."""
        ratio = ours / floor
        met = target is None or (ratio >= target if at_least else ratio <= target)
        words = "" if target is None else f"{'>=' if at_least else '<='} {target:g}"
        self.rows.append(
            {"what": what, "ours": ours, "floor": floor, "unit": unit, "ratio": ratio, "target": words, "met": met}
        )
        say(f"{what}: {ratio:.2f} {words}")

    def finish(self, task: str, workers: int) -> dict[str, Any]:
        machine = describe_machine(torch.device("cpu")) | {"workers": workers, "torch": torch.__version__}
        return {"task": task, "machine": machine, "git": git_state(), "rows": self.rows}


PICTURES: dict[str, tuple[str, str, ObservationRequest, float]] = {
    "points": ("point-cloud rollouts", "depth", request_for(POINTS), 0.85),
    "rgb-fast": ("RGB rollouts, render=fast", "rgb-fast", request_for(("rgb", "proprio"), "fast"), 0.9),
    "rgb-paper": ("RGB rollouts, render=paper", "rgb-paper", request_for(("rgb", "proprio")), 0.9),
}
"""Kind of rollout -> its words, what the floor draws, what is asked, the target."""
PARTS = (*PICTURES, "sampling", "dp3", "pointnet", "max-pool", "memory")


def measure(task: str, seconds: float, naive: bool, only: Sequence[str] = PARTS) -> dict[str, Any]:
    """Simulators, training and memory in one run; only: which of `PARTS`, all of them where naive."""
    workers = resolve_workers(Runtime("cpu", "fp32", "auto", "auto", 180.0))
    report = Report()
    add = report.add
    free = rollouts_and_training.zero_actions
    found = {}
    for kind, (words, picture, request, target) in PICTURES.items():
        if kind in only:
            found[kind] = _against_floor(task, workers, seconds, picture, request)
            add(f"{words}, free policy", found[kind]["rate"], found[kind]["floor"], "steps/s", target)
    if "sampling" in only:
        one, step = rollouts_and_training.point_cloud_share(task)
        add("back-projection, crop and sampling, share of a step", one * 1e3, step * 1e3, "ms", 0.2, at_least=False)
    for method, batches in (("dp3", 40), ("pointnet", 2)):
        if method in only:
            ours, bare = rollouts_and_training.training(method, batches)
            add(f"training {method}, batch 16", 1 / ours, 1 / bare, "optimiser steps/s", 0.9)
    if "max-pool" in only:
        winners, plain = rollouts_and_training.plain_max(10)
        add("DP3 max-pool, gradient of the winners, against the plain maximum", 1 / winners, 1 / plain, "1/s", 1.0)
    if "memory" in only:
        every = rollouts_and_training.rollouts(task, request_for((*POINTS, "rgb")), 1, free, 1.0)
        largest = max(kind["worker_mb"] for kind in (*found.values(), every))
        add("largest simulator worker, against 500 MB", largest, 500, "MB", 1.0, at_least=False)
        ours = rollouts_and_training.parent_memory()
        add("this process with 5,000 clouds, against 3,000 MB", ours, 3000, "MB", 1.0, at_least=False)
    if naive:
        slow = floors.in_processes(1, floors.naive_loop, task, seconds)
        policy = rollouts_and_training.dp3_policy()
        rate = rollouts_and_training.rollouts(task, request_for(POINTS), workers, policy, seconds)["rate"]
        add("point-cloud rollouts with DP3, against the naive loop", rate, slow, "steps/s", 60)
        for kind, target in (("rgb-paper", 6), ("rgb-fast", 60)):
            add(f"{PICTURES[kind][0]}, against the naive loop", found[kind]["rate"], slow, "steps/s", target)
    return report.finish(task, workers)


def _against_floor(
    task: str, workers: int, seconds: float, picture: str, request: ObservationRequest
) -> dict[str, float]:
    """Floor and ours in turns, and the middle one of the rounds: the machine's drift is in neither alone."""
    horizon = rollouts_and_training.horizon_of(request, seconds / 2)

    def floor() -> float:
        return floors.in_processes(workers, floors.bare_loop, task, picture, seconds / 3, horizon)

    rounds, before = [], floor()
    for _ in range(ROUNDS):
        ours = rollouts_and_training.rollouts(task, request, workers, rollouts_and_training.zero_actions, seconds / 2)
        after = floor()
        rounds.append(ours | {"floor": (before + after) / 2})
        before = after
    return sorted(rounds, key=lambda one: one["rate"] / one["floor"])[ROUNDS // 2]


def measure_keyframes(tasks: Sequence[str], seconds: float) -> dict[str, Any]:
    """Rollouts of the port of RLBench's tasks, in this process."""
    report = Report()
    for task in tasks:
        ours, bare = keyframes.rates(task, seconds)
        report.add(f"{task}, the expert's moments with a cloud", ours, bare, "moments/s", 0.75)
    return report.finish(keyframes.ENV, 0)


def measure_views(config: DataConfig, task: str, seconds: float) -> dict[str, Any]:
    """Frames of CLAMP's pre-training on a simulator's demonstrations."""
    report = Report()
    ours, depth, both = view_frames.rates(config, task, seconds)
    size = f"{config.width} x {config.height}"
    report.add(f"CLAMP's frames, {size}, to the cache, against bare depth", ours, depth, "frames/s", None)
    report.add("the same, against bare depth and five bare views", ours, both, "frames/s", 0.5)
    return report.finish(f"{config.name} {task}", 1)


def measure_encoders(names: list[str] | None = None, repeats: int = 3) -> dict[str, Any]:
    """Encoders, grouping, views and the feature cache in one run."""
    report = Report()
    for name in names or encoding.measurable():
        ours, bare = encoding.encoding(name, repeats)
        report.add(f"encode {name}, batch 25, against the bare network", ours, bare, "frames/s", 0.9)
    for what, ours, theirs in encoding.grouping():
        report.add(what, ours, theirs, "clouds/s", None)
    report.add("five views of 0.3 M points, against 40 ms", encoding.view_set(), 40, "ms", 1.0, at_least=False)
    once, every = encoding.caching()
    report.add("150 epochs of clip with its features kept, against encoding", 1 / once, 1 / every, "1/s", 50)
    return report.finish("encoders", 0)


def measure_pretraining(method: str, batch: int, seconds: float) -> dict[str, Any]:
    """Data loading and memory of a pre-training, on the GPU where there is one."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    report = Report()
    for taught, what in ((False, "MAE only"), (True, "all terms")):
        ours, floor = pretraining.loading(method, taught, seconds, batch, device)
        report.add(f"pre-training {method}, {what}, against ready tensors", ours, floor, "samples/s", 0.9)
    for taught, what in ((False, "MAE only"), (True, "all terms")):
        used = pretraining.memory(method, batch, taught, device)
        report.add(f"memory of a step of {batch}, {method}, {what}, against 1 GB", used, 1024, "MB", None)
    return report.finish(f"pre-training on {device.type}", 0)


def render_report(report: dict[str, Any]) -> str:
    machine = report["machine"]
    lines = [
        f"{machine['cpu']}, {machine['cores']} cores, {machine['platform']}",
        f"torch {machine['torch']}, {machine['workers'] or 'no'} simulator processes, {report['task']}",
        "",
        f"{'':<68}{'ours':>9}{'floor':>9}  {'unit':<18}{'ratio':>7}  target",
    ]
    for row in report["rows"]:
        mark = "" if row["met"] else "   NOT MET"
        lines.append(
            f"{row['what']:<68}{row['ours']:>9.4g}{row['floor']:>9.4g}  {row['unit']:<18}{row['ratio']:>7.2f}  "
            f"{row['target']}{mark}"
        )
    return "\n".join(lines)
