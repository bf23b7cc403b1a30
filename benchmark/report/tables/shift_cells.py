"""Table cells about a retest under a shift, beside the retest without."""

from __future__ import annotations

from collections.abc import Sequence

from benchmark.report.tables.mean_cells import Runs, drop_interval, rates_interval
from benchmark.report.tables.measured_cells import MISSING

Beside = Runs
"""Task -> records, each with its retest under the shift, None where it was not run."""


def rates_cell(found: Beside, tasks: Sequence[str]) -> str:
    """Mean over tasks of the rate under the shift, and its interval."""
    rate, low, high, count = rates_interval(found, tasks)
    return _partly(f"{100 * rate:.1f} [{100 * low:.0f}, {100 * high:.0f}]", count, len(tasks)) if count else MISSING


def drop_cell(found: Beside, tasks: Sequence[str]) -> str:
    """Without the shift minus under it, in points, paired episode by episode."""
    value, low, high, count = drop_interval(found, tasks)
    if not count:
        return MISSING
    return _partly(f"{100 * value:+.1f} [{100 * low:+.0f}, {100 * high:+.0f}]", count, len(tasks))


def _partly(text: str, there: int, of: int) -> str:
    return text if there == of else f"{text} † {there}/{of}"
