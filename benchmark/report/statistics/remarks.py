"""What has to be said beside comparisons: each seed's rate, too few seeds, unequal spreads, episodes left out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchmark.report.statistics.crossed import Scope
from benchmark.report.statistics.outcomes import Aligned

TIMES_APART = 10
FEW = 3


def remarks(pairs: Sequence[tuple[str, str]], data: Sequence[Aligned], scope: Scope) -> list[str]:
    """Notes, each once. data: of each pair."""
    notes: list[str] = []
    for names, one in zip(pairs, data, strict=True):
        for name, arm, seeds in zip(names, one.arms, one.seeds, strict=True):
            notes += _each_seed(name, arm, seeds)
        if one.dropped:
            lost = ", ".join(f"{task} {count}" for task, count in one.dropped.items())
            notes.append(
                f"{' and '.join(names)}: episodes that one of their seeds has not played or could not be run on, left "
                f"out for all: {lost}."
            )
        if one.fewest == 2 and (len(one.tasks) == 1 or scope is Scope.JOINT):
            notes.append(f"{' and '.join(names)}: two seeds cannot decide between methods; five can.")
        apart = _spreads_apart(one)
        if apart is not None:
            low, high = apart
            notes.append(
                f"{' and '.join(names)}: seed spreads differ ({100 * low:.1f} and {100 * high:.1f} points between the "
                "seeds' rates), p of the methods approximate."
            )
    return list(dict.fromkeys(notes))


def _each_seed(name: str, arm: Sequence[np.ndarray], seeds: Sequence[tuple[int, ...]]) -> list[str]:
    """A mean hides a seed that collapsed; no interval of few seeds foresees it."""
    common = sorted(set.intersection(*(set(of_task) for of_task in seeds)))
    if max(len(of_task) for of_task in seeds) < 2:
        return []
    if any(len(of_task) != len(common) for of_task in seeds):
        return [f"{name}: not the same training seeds in every task; `bench spread` lists them."]
    rates = [
        float(np.mean([values[of_task.index(seed)].mean() for values, of_task in zip(arm, seeds, strict=True)]))
        for seed in common
    ]
    listed = ", ".join(f"s{seed} {100 * rate:.1f}" for seed, rate in zip(common, rates, strict=True))
    return [f"{name}: {listed} (range {100 * (max(rates) - min(rates)):.1f})."]


def _spreads_apart(data: Aligned) -> tuple[float, float] | None:
    """Standard deviations between the two arms' seeds, mean over tasks, if few seeds say they differ by much."""
    if data.fewest < 2 or data.fewest > FEW:
        return None
    low, high = sorted(float(np.mean([values.mean(1).std(ddof=1) for values in arm])) for arm in data.arms)
    return (low, high) if high > TIMES_APART * low else None
