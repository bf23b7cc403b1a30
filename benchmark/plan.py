"""What `bench run --dry-run` says: cells, demonstrations, rollouts, and an estimate of the time.

The estimate is measured, not guessed: a few optimiser steps on random tensors of the right shape and a few steps of
the simulator with the requested observation, on this machine, now.
"""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np
import torch

from benchmark.cell import Cell, Paths
from benchmark.data.demos import demo_path
from benchmark.policy.memory import Memory
from benchmark.policy.policy import act, make_policy
from benchmark.report.record import BadRecord, read
from benchmark.runtime import resolve_device, resolve_workers
from benchmark.train import Samples, Trainer
from envs.pool import EnvConfig, Pool
from envs.spec import FieldSpec
from methods.hashed_text import DIM

CALIBRATION_STEPS = 3


def plan(cells: list[Cell], paths: Paths) -> dict[str, Any]:
    """The work as plain data. Reads what is there, runs nothing but the calibration."""
    rows = [{"cell": cell.label, "status": status(cell, paths)} for cell in cells]
    missing = [cell for cell, row in zip(cells, rows, strict=True) if row["status"] != "done"]
    settings = cells[0].settings
    protocol, suite = settings.protocol, settings.suite
    demos = []
    for task in dict.fromkeys(task for cell in cells for task in cell.tasks):
        path = demo_path(paths.data, suite.name, suite.env, task, protocol, settings.env_python)
        demos.append({"task": task, "demos": protocol.demos, "there": path.exists(), "path": str(path)})
    evaluations = len(protocol.evaluation_epochs)
    tasks = len(cells[0].tasks)
    per_cell = tasks * (evaluations * protocol.rollouts + protocol.retest_rollouts)
    return {
        "cells": rows,
        "missing": len(missing),
        "demonstrations": demos,
        "rollouts_per_cell": {
            "evaluations": evaluations, "rollouts": tasks * protocol.rollouts,
            "retest": tasks * protocol.retest_rollouts, "total": per_cell, "horizon": protocol.horizon,
        },
        "rollouts": per_cell * len(missing),
        "estimate": estimate(missing),
        "records": str(paths.records),
    }  # fmt: skip


def status(cell: Cell, paths: Paths) -> str:
    target = cell.record(paths)
    if target.exists():
        try:
            same = read(target).identity_hash == cell.identity_hash()
        except BadRecord:
            return "damaged record; --overwrite replaces it"
        return "done" if same else "other settings; --overwrite replaces it"
    checkpoints = sorted(cell.work(paths).glob("epoch-*.pt"))
    return f"stopped after epoch {int(checkpoints[-1].stem[6:])}" if checkpoints else "missing"


def estimate(cells: list[Cell]) -> dict[str, Any]:
    """Seconds by phase for the cells from nothing; rollouts as if every episode ran to its horizon."""
    phases = {"observations": 0.0, "training": 0.0, "rollouts": 0.0}
    costs: dict[str, dict[str, float]] = {}
    for cell in cells:
        if cell.method not in costs:
            costs[cell.method] = _calibrate(cell)
        cost, protocol = costs[cell.method], cell.settings.protocol
        workers = min(resolve_workers(cell.settings.runtime), torch.get_num_threads())
        tasks = len(cell.tasks)
        steps = math.ceil(tasks * protocol.train_demos * protocol.horizon / cell.batch_size) * protocol.epochs
        episodes = tasks * (len(protocol.evaluation_epochs) * protocol.rollouts + protocol.retest_rollouts)
        phases["observations"] += tasks * protocol.demos * protocol.horizon * cost["env_step"] / workers
        phases["training"] += steps * cost["train_step"]
        phases["rollouts"] += episodes * protocol.horizon * (cost["env_step"] / workers + cost["act"])
    total = sum(phases.values())
    return {
        "seconds": {name: round(seconds) for name, seconds in phases.items()},
        "total_seconds": round(total),
        "how": "measured on this machine just now; an upper bound, because successful rollouts stop early",
    }


def _calibrate(cell: Cell) -> dict[str, float]:
    """Seconds of one optimiser step, one simulator step with its observation, and one action."""
    settings, specs = cell.settings, cell.specs()
    device, env = resolve_device(settings.runtime), settings.suite.env_class()
    representation = cell.build(specs)
    told = DIM if settings.suite.language else 0
    policy = make_policy(settings.head, representation, len(env.proprio_names), env.action_spec.size, told).to(device)
    representation.freeze_as_card_says()
    rows = cell.batch_size * CALIBRATION_STEPS
    inputs = {n: _random(spec, rows).to(device) for n, spec in specs.items()}
    if representation.frozen_part is not None:
        with torch.inference_mode():
            few = policy.encode_frozen({n: value[:2] for n, value in inputs.items()}).cpu()
        inputs = {
            "feature": few.clone().repeat(rows // 2 + 1, *[1] * (few.dim() - 1))[:rows],
            "proprio": inputs["proprio"],
        }
    if told:
        inputs["language"] = torch.rand(rows, told, device=device)
    samples = Samples(inputs, torch.zeros(rows, env.action_spec.size))
    trainer = Trainer(policy, settings.protocol, 0, cell.batch_size, device, bf16=False)
    trainer.train_epoch(samples)
    start = time.perf_counter()
    trainer.train_epoch(samples)
    train_step = (time.perf_counter() - start) / CALIBRATION_STEPS

    policy.eval()
    one = {n: _random(spec, 4).numpy() for n, spec in specs.items()}
    said = np.zeros(told, np.float32) if told else None
    act(policy, one, [Memory(row, said) for row in range(4)], device, bf16=False)
    memories = [Memory(row, said) for row in range(4)]
    start = time.perf_counter()
    for _ in range(policy.head.execute):
        act(policy, one, memories, device, bf16=False)
    acting = (time.perf_counter() - start) / 4 / policy.head.execute

    with Pool(EnvConfig(settings.suite.env, cell.tasks[0], cell.request, settings.env_python), 1) as pool:
        list(pool.map("reset", [(0,)]))
        start = time.perf_counter()
        action = np.zeros(env.action_spec.size, np.float32)
        list(pool.map("step", [(action,)] * 20))
        env_step = (time.perf_counter() - start) / 20
    return {"train_step": train_step, "env_step": env_step, "act": acting}


def _random(spec: FieldSpec, rows: int) -> torch.Tensor:
    if spec.dtype == "bool":
        return torch.ones(rows, *spec.shape, dtype=torch.bool)
    if spec.dtype == "uint8":
        return torch.randint(0, 256, (rows, *spec.shape), dtype=torch.uint8)
    return torch.rand(rows, *spec.shape)


def describe(planned: dict[str, Any]) -> str:
    """The plan for a person."""
    width = max(len(row["cell"]) for row in planned["cells"])
    lines = [f"{len(planned['cells'])} cells, {planned['missing']} to do, records under {planned['records']}"]
    lines += [f"  {row['cell']:<{width}}  {row['status']}" for row in planned["cells"]]
    lines.append("demonstrations:")
    for row in planned["demonstrations"]:
        lines.append(f"  {row['task']:<20} {row['demos']}  {'there' if row['there'] else 'to collect'}")
    r = planned["rollouts_per_cell"]
    lines.append(
        f"rollouts: {r['evaluations']} evaluations x {r['rollouts']} + retest {r['retest']} = {r['total']} a cell, "
        f"at most {r['horizon']} steps each; {planned['rollouts']:,} in all"
    )
    e = planned["estimate"]
    phases = ", ".join(f"{name} {_duration(seconds)}" for name, seconds in e["seconds"].items())
    lines.append(f"time: about {_duration(e['total_seconds'])} ({phases}); {e['how']}")
    return "\n".join(lines)


def _duration(seconds: float) -> str:
    minutes = seconds / 60
    return f"{seconds:.0f} s" if seconds < 90 else f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.1f} h"
