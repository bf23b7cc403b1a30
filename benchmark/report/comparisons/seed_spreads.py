"""`bench spread`: how much each method varies from training seed to training seed, as its records measure it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from benchmark.records.record import Record
from benchmark.report.comparisons.comparable import comparable, reference_notes
from benchmark.report.statistics.crossed import Scope
from benchmark.report.statistics.intervals import mean
from benchmark.report.statistics.one_seed import ONE_SEED
from benchmark.report.statistics.outcomes import Played, align, scope_of, successes
from benchmark.report.statistics.seed_spread import Spread, measured_spread, pooled
from benchmark.report.tables.table import Table


@dataclass(frozen=True)
class MethodSpread:
    """rates: task -> training seed -> retest rate. spread: None where no task has two seeds."""

    method: str
    head: str
    scope: str
    rates: Mapping[str, Mapping[int, float]]
    spread: Spread | None


@dataclass(frozen=True)
class Assumed:
    """The spread that a plan is made with, in 0..1. measured: of all methods together, None where nothing is."""

    value: float
    source: str
    measured: Spread | None


def spreads(records: Sequence[Record]) -> tuple[list[MethodSpread], list[str]]:
    """Of every method and head, and what was left out. records: of one suite and protocol."""
    kept, notes = comparable(list(records))
    notes += reference_notes(kept)
    grouped: dict[tuple[str, str], list[Record]] = defaultdict(list)
    for record in kept:
        grouped[record.method, record.head].append(record)
    return [_of(method, head, members) for (method, head), members in sorted(grouped.items())], notes


def _of(method: str, head: str, members: Sequence[Record]) -> MethodSpread:
    scope = scope_of(members)
    played: dict[str, dict[int, Mapping[int, float]]] = defaultdict(dict)
    for record in members:
        if record.retest.tally.n:
            played[record.task][record.seed] = successes(record.retest)
    arms: Mapping[str, Played] = played
    # each task by itself where policies are apart, so that a task with one seed costs the others nothing
    data = align([arms], sorted(played), scope)
    found = measured_spread(data.arms[0], scope) if data.arms else None
    rates = {
        task: {seed: mean(list(rows.values())) for seed, rows in sorted(of_task.items())}
        for task, of_task in sorted(played.items())
    }
    return MethodSpread(method, head, scope.value, rates, found)


def assumed(found: Sequence[MethodSpread], scope: Scope, where: str, default: float = 0.06) -> Assumed:
    """What `bench plan` takes: all measured spreads of policies of this scope, by their degrees of freedom, or 6
    points."""
    known = [(one.method, one.head, one.spread) for one in found if one.spread and one.scope == scope.value]
    if not known:
        return Assumed(default, f"assumed, no method on {where} has two training seeds", None)
    whole = pooled([spread for *_, spread in known])
    names = ", ".join(f"{method} ({head})" for method, head, _ in known)
    return Assumed(
        whole.deviation,
        f"measured on {where}, {names}: 95 % interval {100 * whole.low:.1f} to "
        f"{100 * whole.high:.1f} points, {whole.df} degrees of freedom",
        whole,
    )


def spread_table(found: Sequence[MethodSpread], notes: Sequence[str], title: str) -> Table:
    rows: list[tuple[str, ...]] = []
    rules = set()
    for one in found:
        rules.add(len(rows))
        for task, of_task in one.rates.items():
            listed = ", ".join(f"s{seed} {100 * rate:.0f}" for seed, rate in of_task.items())
            width = 100 * (max(of_task.values()) - min(of_task.values()))
            rows.append((f"{one.method}, {one.head}", task, listed, f"{width:.0f}" if len(of_task) > 1 else "–", "–"))
        label = "mean over tasks" if one.scope == Scope.JOINT.value else "of a task"
        rows.append((f"{one.method}, {one.head}", f"spread {label}", *_pooled(one)))
    own = [
        "spread: standard deviation of a task's true rate over training seeds, in points, with a 95 % interval: the "
        "variance of the seeds' rates minus what their rollouts make of it, tasks pooled. 0: not more than the "
        "rollouts do. range: of the seeds' rates, rollouts included.",
    ]
    if any(one.spread is None for one in found):
        own.append(f"{ONE_SEED}.")
    columns = ("method", "task", "each seed's retest, %", "range", "spread")
    return Table(title, columns, tuple(rows), (*own, *notes), frozenset(rules - {0}), text_columns=3)


def _pooled(one: MethodSpread) -> tuple[str, str, str]:
    widest = max((float(np.ptp(list(of.values()))) for of in one.rates.values()), default=0.0)
    if one.spread is None:
        return "one training seed", "–", "cannot say"
    text = f"{100 * one.spread.deviation:.1f} [{100 * one.spread.low:.1f}, {100 * one.spread.high:.1f}]"
    return f"{one.spread.df} degrees of freedom", f"{100 * widest:.0f}", text
