"""Looks at two methods that are declared before training: after three, five and ten seeds, and never between."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

LOOKS = ((3, 0.005), (5, 0.015), (10, 0.03))
"""(training seeds of every arm, level): the levels sum to 5 %, so all looks together raise at most that."""


@dataclass(frozen=True)
class Look:
    """reached: whether every arm has the seeds. p: adjusted for the pairs of the table, at exactly these seeds."""

    seeds: int
    level: float
    reached: bool
    p: float | None

    @property
    def decides(self) -> bool:
        return self.p is not None and self.p <= self.level


def next_look(fewest: int) -> tuple[int, float] | None:
    """Of arms whose fewest seeds are `fewest`; None after the last."""
    return next((look for look in LOOKS if look[0] > fewest), None)


def decided_at(looks: Sequence[Look]) -> Look | None:
    """The first look that decides; later ones take nothing back."""
    return next((look for look in looks if look.decides), None)
