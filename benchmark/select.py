"""Which checkpoint is re-tested."""

from __future__ import annotations

from collections.abc import Sequence

from benchmark.report.record import Evaluation


def select(evaluations: Sequence[Evaluation], rule: str) -> Evaluation:
    """The evaluation with the highest success rate; `rule` (first or last) breaks ties.

    An evaluation in which no episode could be run is never selected while another could.
    """
    ordered = list(evaluations) if rule == "first" else list(evaluations)[::-1]
    return max(ordered, key=lambda e: e.tally.rate if e.tally.n else -1.0)
