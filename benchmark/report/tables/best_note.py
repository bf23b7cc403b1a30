"""What best*, retest and last mean in a table, computed from the records that it shows."""

from __future__ import annotations

from collections.abc import Sequence

from benchmark.records.record import Record
from benchmark.report.statistics.intervals import inflation
from benchmark.settings.seeds import parts

RATES = (0.5, 0.8)
"""True rates between which the selection bias is said; it is largest at a half."""
PAPERS = (15, 25)
"""CLAR's evaluations and episodes of each, said where nothing was measured."""


def best_note(records: Sequence[Record]) -> str:
    """A table's note. Of a joint policy, which one checkpoint is chosen for by the mean over tasks, no bias is said."""
    choosing = [record for record in records if record.selects]
    if records and not choosing:
        return f"nothing is selected: {_LAST}."
    looks = {_look(record) for record in choosing if not _joint(record)}
    if not records:
        looks = {PAPERS}
    note = (
        "best*: maximum over evaluations, the papers' number; it is optimistically biased (selection bias"
        f"{_bias(looks)}). retest: the selected checkpoint, re-evaluated on fresh episodes. last: the last checkpoint."
    )
    others = sorted({record.protocol for record in records if not record.selects})
    return f"{note} Under {', '.join(others)} nothing is selected: {_LAST}." if others else note


_LAST = "best* and last are the last checkpoint's evaluation, retest is its re-evaluation on fresh episodes"


def _joint(record: Record) -> bool:
    return len(parts(record.identity.get("task", record.task))) > 1


def _look(record: Record) -> tuple[int, int]:
    """Evaluations, and episodes of each."""
    first = record.evaluations[0].tally
    return len(record.evaluations), first.n + first.errors


def _bias(looks: set[tuple[int, int]]) -> str:
    points = [100 * inflation(rate, *look) for rate in RATES for look in looks if look[0] > 1]
    if not points:
        return ""
    evaluations, episodes = ([look[place] for look in looks] for place in (0, 1))
    return (
        f": {_from_to(points)} points for true rates of {100 * RATES[0]:.0f} to {100 * RATES[1]:.0f} % with "
        f"{_from_to(evaluations)} evaluations of {_from_to(episodes)}"
    )


def _from_to(values: Sequence[float]) -> str:
    low, high = f"{min(values):.0f}", f"{max(values):.0f}"
    return low if low == high else f"{low} to {high}"
