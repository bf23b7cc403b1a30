"""Table cells about a retest under a shift, beside the retest without."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchmark.report.paired import difference, paired
from benchmark.report.record import Evaluation, Record
from benchmark.report.stats import mean, mean_interval
from benchmark.report.tables import MISSING

Beside = Mapping[str, Sequence[tuple[Record, Evaluation | None]]]
"""Task -> records, each with its retest under the shift, None where it was not run."""


def rates_cell(found: Beside, tasks: Sequence[str]) -> str:
    """Mean over tasks of the rate under the shift, and its interval."""
    present = []
    for task in tasks:
        counts = [(e.tally.k, e.tally.n) for _, e in found.get(task, ()) if e is not None]
        present.append((sum(k for k, _ in counts), sum(n for _, n in counts)))
    present = [(k, n) for k, n in present if n]
    if not present:
        return MISSING
    low, high = mean_interval(present)
    text = f"{100 * mean([k / n for k, n in present]):.1f} [{100 * low:.0f}, {100 * high:.0f}]"
    return _partly(text, len(present), len(tasks))


def drop_cell(found: Beside, tasks: Sequence[str]) -> str:
    """Without the shift minus under it, in points, paired episode by episode."""
    strata = {task: [paired(r.retest, e) for r, e in found.get(task, ()) if e is not None] for task in tasks}
    played = {task: [pairs for pairs in of_task if pairs.n] for task, of_task in strata.items()}
    pairs = [one for of_task in played.values() for one in of_task]
    if not pairs:
        return MISSING
    value, low, high = difference(pairs)
    text = f"{100 * value:+.1f} [{100 * low:+.0f}, {100 * high:+.0f}]"
    return _partly(text, sum(bool(of_task) for of_task in played.values()), len(tasks))


def _partly(text: str, there: int, of: int) -> str:
    return text if there == of else f"{text} † {there}/{of}"
