"""`bench plan`: how many training seeds and rollouts a difference takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmark.protocol import Settings
from benchmark.report.paired import seeds_needed
from benchmark.report.record import Record
from benchmark.report.table import Table


def plan(settings: Settings, records: Sequence[Record], detect: float, power: float, alpha: float, spread: float,
         discordant: float) -> dict[str, Any]:  # fmt: skip
    """For several numbers of retest rollouts: seeds, rollouts and hours of both methods. Rates in 0..1.

    Hours come from the records' own timings, training apart from rollouts, and are None without a record.
    """
    suite, protocol = settings.suite, settings.protocol
    tasks = len(suite.task_names)
    selection = len(protocol.evaluation_epochs) * protocol.rollouts
    kept = [r for r in records if r.timings.get("rollouts")]
    played = sum(len(e.episodes) for r in kept for e in (*r.evaluations, r.retest))
    per_rollout = sum(r.timings["rollouts"] for r in kept) / played if played else None
    per_training = sum(sum(r.timings.values()) - r.timings["rollouts"] for r in kept) / len(kept) if kept else None
    rows = []
    for rollouts in sorted({25, protocol.retest_rollouts, 4 * protocol.retest_rollouts}):
        seeds = seeds_needed(detect, tasks, rollouts, discordant, spread, power, alpha)
        cells = 2 * tasks * seeds
        hours = None
        if per_rollout is not None and per_training is not None:
            hours = cells * (per_training + (selection + rollouts) * per_rollout) / 3600
        rows.append({
            "retest_rollouts": rollouts, "seeds": seeds, "cells": cells, "rollouts": cells * (selection + rollouts),
            "hours": hours,
        })  # fmt: skip
    return {
        "suite": suite.name, "protocol": protocol.name, "tasks": tasks, "detect": detect, "power": power,
        "alpha": alpha, "spread": spread, "discordant": discordant, "plans": rows,
        "timed_on": sorted({f"{r.method}, {r.provenance['machine']['cpu']}" for r in kept}),
    }  # fmt: skip


def plan_table(found: dict[str, Any]) -> Table:
    rows = tuple(
        (str(row["retest_rollouts"]), str(row["seeds"]), str(row["cells"]), f"{row['rollouts']:,}",
         "unknown" if row["hours"] is None else f"{row['hours']:,.1f}")
        for row in found["plans"]
    )  # fmt: skip
    columns = ("retest rollouts", "training seeds", "cells", "rollouts", "hours")
    notes = [
        f"Two methods, {found['tasks']} tasks, power {found['power']:g}, two-sided {found['alpha']:g}; cells, rollouts "
        "and hours are of both. Normal approximation.",
        f"Assumed: {100 * found['discordant']:g} % of paired episodes are won by one method alone (--discordant), and "
        f"a task's true rate varies by {100 * found['spread']:g} points over training seeds (--spread). More rollouts "
        "do not help against the second.",
    ]
    notes.append(
        f"hours: one after the other, as timed in the records of {'; '.join(found['timed_on'])}."
        if found["timed_on"] else "hours: no record has been timed yet; `bench run --dry-run` measures."
    )  # fmt: skip
    title = (
        f"To find a difference of {100 * found['detect']:g} points on {found['suite']}, protocol {found['protocol']}"
    )
    return Table(title, columns, rows, tuple(notes), text_columns=0)
