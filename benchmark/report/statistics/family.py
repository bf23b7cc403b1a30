"""Many methods: all pairs, Holm, and which of them may still be the best."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p in the given order: the family-wise error is kept whatever the tests' dependence (Holm 1979)."""
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = largest
    return adjusted


def maybe_best(count: int, differences: Sequence[float], p_values: Sequence[float], alpha: float = 0.05) -> set[int]:
    """Indices of the methods that no other one is significantly above.

    differences, p_values: of all pairs of `count` methods in the order of `itertools.combinations`, first minus second.
    The p are adjusted for all pairs, so the truly best, whichever it is, is wrongly left out with a probability of at
    most alpha. Comparing with the empirically best alone costs an equal method its place more often.
    """
    below = set()
    adjusted = holm(p_values)
    for (a, b), difference, p in zip(combinations(range(count), 2), differences, adjusted, strict=True):
        if p <= alpha and difference:
            below.add(b if difference > 0 else a)
    return set(range(count)) - below
