"""Records to arrays: of each task the episodes that every training seed of every method could be run on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from benchmark.records.record import Evaluation, Record
from benchmark.report.statistics.crossed import Scope

Played = Mapping[int, Mapping[int, float]]
"""Training seed -> episode seed -> value, without episodes that could not be run."""


@dataclass(frozen=True)
class Aligned:
    """arms: for each method and task an array (seeds, episodes). Tasks in which nothing is shared are left out.

    seeds: of each method and task, in the array's order. rollouts: in all arrays. dropped: task -> episodes that one of
    them could not be run on, or has not played.
    """

    arms: tuple[tuple[np.ndarray, ...], ...]
    tasks: tuple[str, ...]
    seeds: tuple[tuple[tuple[int, ...], ...], ...]
    dropped: Mapping[str, int]

    @property
    def fewest(self) -> int:
        return min(len(seeds) for arm in self.seeds for seeds in arm)

    @property
    def most(self) -> int:
        return max(len(seeds) for arm in self.seeds for seeds in arm)

    @property
    def rollouts(self) -> int:
        return sum(values.size for arm in self.arms for values in arm)


def align(arms: Sequence[Mapping[str, Played]], tasks: Sequence[str], scope: Scope = Scope.PER_TASK) -> Aligned:
    """arms: task -> what was played, for each method. tasks: those that all arms have.

    A joint policy's seeds are those that it has in all `tasks`.
    """
    kept, arrays, seeds, dropped = [], [], [], {}
    whole = [_common(arm, tasks) if scope is Scope.JOINT else None for arm in arms]
    for task in tasks:
        used = [
            {seed: rows for seed, rows in sorted(arm[task].items()) if allowed is None or seed in allowed}
            for arm, allowed in zip(arms, whole, strict=True)
        ]
        rows = [of_seed for of_arm in used for of_seed in of_arm.values()]
        shared = sorted(set.intersection(*(set(one) for one in rows))) if all(used) else []
        lost = len(set().union(*(set(one) for one in rows))) - len(shared)
        if lost:
            dropped[task] = lost
        if len(shared) < 2:
            continue
        kept.append(task)
        seeds.append([tuple(of_arm) for of_arm in used])
        arrays.append(
            [
                np.array([[of_seed[episode] for episode in shared] for of_seed in of_arm.values()], dtype=np.float64)
                for of_arm in used
            ]
        )
    return Aligned(
        tuple(tuple(of_task[i] for of_task in arrays) for i in range(len(arms))),
        tuple(kept),
        tuple(tuple(of_task[i] for of_task in seeds) for i in range(len(arms))),
        dropped,
    )


def _common(arm: Mapping[str, Played], tasks: Sequence[str]) -> set[int]:
    return set.intersection(*(set(arm[task]) for task in tasks))


def successes(evaluation: Evaluation) -> dict[int, float]:
    """Episode seed -> 0 or 1. Raises ValueError if an evaluation counts rollouts that it does not list."""
    found = {row[0]: float(row[1]) for row in evaluation.episodes if row[3] is None}
    if len(found) != evaluation.tally.n:
        raise ValueError(f"{evaluation.tally.n} rollouts are counted and {len(found)} listed")
    return found


def drops(plain: Evaluation, shifted: Evaluation) -> dict[int, float]:
    """Episode seed -> success without the shift minus success under it, in the episodes that have both."""
    before, after = successes(plain), successes(shifted)
    return {episode: before[episode] - after[episode] for episode in before.keys() & after.keys()}


def scope_of(records: Sequence[Record]) -> Scope:
    """Joint where one of them is of a policy for several tasks, or one task of it."""
    joint = any("+" in record.identity.get("task", record.task) for record in records)
    return Scope.JOINT if joint else Scope.PER_TASK
