"""What `bench run --dry-run` says: cells, demonstrations, rollouts, and an estimate of the time.

The estimate is measured, not guessed: a few optimiser steps on random tensors of the right shape and a few steps of
the simulator with the requested observation, on this machine, now.
"""

from __future__ import annotations

import dataclasses
import math
import time
from typing import Any

import numpy as np
import torch

from benchmark.data.samples import Samples
from benchmark.experiment.cell import Cell
from benchmark.experiment.task_data import demo_file
from benchmark.policy.act import act
from benchmark.policy.episode_memory import Memory
from benchmark.records.paths import Paths
from benchmark.records.read import BadRecord, read
from benchmark.settings.head import left_out
from benchmark.settings.machine import resolve_device, resolve_workers
from benchmark.settings.seeds import TRAINED_ON
from benchmark.system.printable import duration
from benchmark.training.trainer import Trainer
from envs.pictures import fields_of
from envs.pool import EnvConfig, Pool
from envs.spec import FieldSpec
from methods.hashed_text import DIM

CALIBRATION_STEPS = 3


def plan(cells: list[Cell], paths: Paths, shifts: tuple[str, ...] = ()) -> dict[str, Any]:
    """The work as plain data. Reads what is there, runs nothing but the calibration.

    shifts: what else the selected checkpoint is retested under, beside the suite's own.
    """
    rows = [{"cell": cell.label, "status": status(cell, paths)} for cell in cells]
    missing = [cell for cell, row in zip(cells, rows, strict=True) if row["status"] != "done"]
    settings = cells[0].settings
    protocol = settings.protocol
    files = {demo_file(cell, paths, task): task for cell in cells for task in cell.tasks}
    demos = [
        {"task": task, "demos": protocol.demos, "there": path.exists(), "path": str(path)}
        for path, task in files.items()
    ]
    evaluations = len(protocol.evaluation_epochs)
    tasks = len(cells[0].tasks)
    under = _retests_under(cells[0], shifts)
    shifted = sum(under.values())
    per_cell = tasks * (evaluations * protocol.rollouts + protocol.retest_rollouts + shifted)
    return {
        "cells": rows,
        "missing": len(missing),
        "demonstrations": demos,
        "rollouts_per_cell": {
            "evaluations": evaluations,
            "rollouts": tasks * protocol.rollouts,
            "retest": tasks * protocol.retest_rollouts,
            "retest_under": {shift: tasks * count for shift, count in under.items()},
            "total": per_cell,
            "horizon": max(settings.of_task(task).horizon for task in cells[0].tasks),
        },
        "rollouts": per_cell * len(missing),
        "estimate": estimate(missing, shifted),
        "records": str(paths.records),
    }


def _retests_under(cell: Cell, shifts: tuple[str, ...]) -> dict[str, int]:
    """Episodes of a task under each shift."""
    protocol = cell.settings.protocol
    return {
        shift: min(protocol.train_demos, protocol.retest_rollouts) if shift == TRAINED_ON else protocol.retest_rollouts
        for shift in dict.fromkeys((*cell.settings.suite.shift, *shifts))
    }


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


def estimate(cells: list[Cell], shifted: int = 0) -> dict[str, Any]:
    """Seconds by phase for the cells from nothing; rollouts as if every episode ran to its horizon.

    shifted: a task's episodes under shifts.
    """
    phases = {"observations": 0.0, "training": 0.0, "rollouts": 0.0}
    costs: dict[str, dict[str, float]] = {}
    for cell in cells:
        what = f"{cell.method} {cell.settings.head.name}"
        if what not in costs:
            costs[what] = _calibrate(cell)
        cost, protocol = costs[what], cell.settings.protocol
        workers = min(resolve_workers(cell.settings.runtime), torch.get_num_threads())
        rules = [cell.settings.of_task(task) for task in cell.tasks]
        horizons, unused = [one.horizon for one in rules], left_out(vars(cell.settings.head))
        looks = [math.ceil(one.horizon / one.frame_every) for one in rules]
        frames = sum(math.ceil(max(0, one.horizon - unused) / one.frame_every) for one in rules)
        steps = protocol.optimizer_steps(math.ceil(protocol.train_demos * frames / cell.batch_size))
        episodes = len(protocol.evaluation_epochs) * protocol.rollouts + protocol.retest_rollouts + shifted
        phases["observations"] += protocol.demos * sum(looks) * cost["env_step"] / workers
        phases["training"] += steps * cost["train_step"]
        phases["rollouts"] += episodes * sum(horizons) * (cost["env_step"] / workers + cost["act"])
    total = sum(phases.values())
    return {
        "seconds": {name: round(seconds) for name, seconds in phases.items()},
        "total_seconds": round(total),
        "how": "measured on this machine just now; an upper bound, because successful rollouts stop early",
    }


def _calibrate(cell: Cell) -> dict[str, float]:
    """Seconds of one optimiser step, one simulator step with its observation, and one action."""
    settings, specs = cell.settings, cell.specs()
    device, env = resolve_device(settings.runtime), settings.simulator()
    representation = cell.build(specs)
    told = DIM if settings.suite.language else 0
    policy = cell.build_policy(representation, told).to(device)
    if representation is not None:
        representation.freeze_as_card_says()
    rows = cell.batch_size * CALIBRATION_STEPS
    inputs = {n: _random(spec, rows).to(device) for n, spec in specs.items()}
    if representation is not None and representation.frozen_part is not None and len(policy.sets) == 1:
        own = cell.policy.card.observes if cell.policy is not None else ()
        with torch.inference_mode():
            few = policy.encode_frozen({n: value[:2] for n, value in inputs.items()}).cpu()
        inputs = {
            "feature": few.clone().repeat(rows // 2 + 1, *[1] * (few.dim() - 1))[:rows],
            "proprio": inputs["proprio"],
            **{name: inputs[name] for name in fields_of(own, inputs)},
        }
    if told:
        inputs["language"] = torch.rand(rows, told, device=device)
    samples = Samples(inputs, torch.zeros(rows, env.action_spec.size))
    by_epochs = dataclasses.replace(settings.protocol, steps=0, epochs=3, evaluate_every=1)
    trainer = Trainer(policy, by_epochs, 0, cell.batch_size, device, bf16=False)
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
    for _ in range(policy.execute):
        act(policy, one, memories, device, bf16=False)
    acting = (time.perf_counter() - start) / 4 / policy.execute

    with Pool(EnvConfig(settings.suite.env, cell.tasks[0], cell.request, settings.env_python), 1) as pool:
        list(pool.map("reset", [(0,)]))
        start = time.perf_counter()
        action = np.zeros(env.action_spec.size, np.float32)
        for _ in range(20):
            ((_, (_, _, ended)),) = pool.map("step", [(action,)])
            if ended is not None:
                list(pool.map("reset", [(0,)]))
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
    shifted = "".join(f" + {count} under {shift}" for shift, count in r["retest_under"].items())
    lines.append(
        f"rollouts: {r['evaluations']} evaluations x {r['rollouts']} + retest {r['retest']}{shifted} = {r['total']} "
        f"a cell, at most {r['horizon']} steps each; {planned['rollouts']:,} in all"
    )
    e = planned["estimate"]
    phases = ", ".join(f"{name} {duration(seconds)}" for name, seconds in e["seconds"].items())
    lines.append(f"time: about {duration(e['total_seconds'])} ({phases}); {e['how']}")
    return "\n".join(lines)
