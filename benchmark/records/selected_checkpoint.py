"""Which checkpoint is re-tested."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmark.records.record import Evaluation


def select(evaluations: Sequence[Evaluation], rule: str) -> Evaluation:
    """The evaluation with the most successes out of the episodes it was asked for; `rule` (first or last) breaks ties.
    Under the rule `final` nothing is selected: it is the last evaluation.

    An episode that could not be run never helps: k / (n + errors), which is k / n where there are no errors. A rate
    over the episodes that could be run would prefer 1 of 1 with 24 errors to 20 of 25, and a policy that drives the
    simulator into errors must not gain by them. All evaluations of a cell ask for equally many episodes, so this
    compares successes. Leaving out evaluations with more than so many errors would jump at that limit and reward
    errors below it. What is reported is k of n with the errors beside it; only the choice is pessimistic.

    An evaluation in which no episode could be run is never selected while another could.
    """
    if rule == "final":
        return evaluations[-1]
    ordered = list(evaluations) if rule == "first" else list(evaluations)[::-1]
    return max(ordered, key=_lowest_rate)


def _lowest_rate(evaluation: Evaluation) -> float:
    """The success rate if every episode that could not be run had failed; -1 if none could be run."""
    tally = evaluation.tally
    return tally.k / (tally.n + tally.errors) if tally.n else -1.0
