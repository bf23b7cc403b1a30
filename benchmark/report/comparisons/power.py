"""`bench plan`: how many training seeds and rollouts a difference takes, for the test that `bench compare` makes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmark.records.record import Record
from benchmark.report.comparisons.seed_spreads import Assumed
from benchmark.report.statistics.crossed import Scope
from benchmark.report.statistics.planned_power import MOST_SEEDS, Setting, power, seeds_for
from benchmark.report.statistics.questions import METHODS
from benchmark.report.tables.table import Table
from benchmark.settings.settings import Settings

SHOWN = (3, 5, 10)


def scope_of_suite(settings: Settings) -> Scope:
    return Scope.JOINT if settings.suite.joint else Scope.PER_TASK


def plan(
    settings: Settings,
    records: Sequence[Record],
    detect: float,
    wanted: float,
    alpha: float,
    spread: Assumed,
    discordant: float,
    interaction: float,
) -> dict[str, Any]:
    """For several numbers of retest rollouts: seeds, rollouts and hours of both methods, and the power of three, five
    and ten seeds. Rates in 0..1. Raises ValueError if the assumptions contradict each other.

    Hours come from the records' own timings, training apart from rollouts, and are None without a record.
    """
    suite, protocol = settings.suite, settings.protocol
    tasks, scope = len(suite.task_names), scope_of_suite(settings)
    policies = tasks if scope is Scope.PER_TASK else 1
    selection = len(protocol.evaluation_epochs) * protocol.rollouts
    kept = [r for r in records if r.timings.get("rollouts")]
    played = sum(len(e.episodes) for r in kept for e in (*r.evaluations, r.retest))
    per_rollout = sum(r.timings["rollouts"] for r in kept) / played if played else None
    per_training = sum(sum(r.timings.values()) - r.timings["rollouts"] for r in kept) / len(kept) if kept else None
    rows = []
    for rollouts in sorted({25, protocol.retest_rollouts, 4 * protocol.retest_rollouts}):
        setting = Setting(tasks, rollouts, spread.value, discordant, interaction, scope)
        seeds = seeds_for(setting, detect, wanted, alpha)
        # rollouts and seconds by task: records are read so, a joint policy's seconds shared out over its tasks
        count = None if seeds is None else 2 * tasks * seeds
        hours = None
        if count is not None and per_rollout is not None and per_training is not None:
            hours = count * (per_training + (selection + rollouts) * per_rollout) / 3600
        rows.append(
            {
                "retest_rollouts": rollouts,
                "seeds": seeds,
                "hours": hours,
                "cells": None if seeds is None else 2 * policies * seeds,
                "rollouts": None if count is None else count * (selection + rollouts),
                "power": {str(s): power(setting, detect, s, alpha) for s in SHOWN},
            }
        )
    return {
        "suite": suite.name,
        "protocol": protocol.name,
        "tasks": tasks,
        "detect": detect,
        "power": wanted,
        "alpha": alpha,
        "spread": spread.value,
        "spread_source": spread.source,
        "discordant": discordant,
        "interaction": interaction,
        "scope": scope.value,
        "question": METHODS,
        "plans": rows,
        "timed_on": sorted({f"{r.method}, {_machine(r)}" for r in kept}),
    }


def _machine(record: Record) -> str:
    found = record.provenance.get("machine")
    return str(found.get("cpu", "an unknown machine")) if isinstance(found, dict) else "an unknown machine"


def plan_table(found: dict[str, Any]) -> Table:
    rows = tuple(
        (
            str(row["retest_rollouts"]),
            *(f"{100 * row['power'][str(s)]:.0f}" for s in SHOWN),
            f"over {MOST_SEEDS}" if row["seeds"] is None else str(row["seeds"]),
            "–" if row["cells"] is None else str(row["cells"]),
            "–" if row["rollouts"] is None else f"{row['rollouts']:,}",
            "unknown" if row["hours"] is None else f"{row['hours']:,.1f}",
        )
        for row in found["plans"]
    )
    columns = (
        "retest rollouts",
        *(f"power at {s} seeds, %" for s in SHOWN),
        f"seeds for {100 * found['power']:g} %",
        "cells",
        "rollouts",
        "hours",
    )
    notes = [
        f"{METHODS}: two methods, {found['tasks']} tasks ({found['scope']}), two-sided {found['alpha']:g}; power of "
        "the test over training seeds that `bench compare` makes, 4,000 drawn experiments. seeds: of each method; "
        "cells, rollouts and hours are of both.",
        f"--spread {100 * found['spread']:.1f}: a task's true rate varies by so many points over training seeds "
        f"({found['spread_source']}). More rollouts do not help against it.",
        f"Assumed: in {100 * found['discordant']:g} % of paired episodes one method alone succeeds (--discordant), and "
        f"how much better one method is varies by {100 * found['interaction']:g} points over episodes (--interaction).",
        "The power is that of comparing two methods once. Where three or more are compared in one table (Holm's "
        "correction), or the two at 3, 5 and 10 seeds (--looks), the same power takes more seeds.",
    ]
    notes.append(
        f"hours: one after the other, as timed in the records of {'; '.join(found['timed_on'])}."
        if found["timed_on"]
        else "hours: no record has been timed yet; `bench run --dry-run` measures."
    )
    where = f"{found['suite']}, protocol {found['protocol']}"
    title = f"Power analysis: to detect a difference of {100 * found['detect']:g} points on {where}"
    return Table(title, columns, rows, tuple(notes), text_columns=0)
