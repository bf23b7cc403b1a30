"""`bench compare --shift`: does one method lose less than another when the camera, or the instruction, is another?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from benchmark.report.comparison import NothingInCommon
from benchmark.report.conditions import comparable
from benchmark.report.paired import difference_in_difference
from benchmark.report.record import Evaluation, Record
from benchmark.report.shifts import read_shifts
from benchmark.report.table import Table


@dataclass(frozen=True)
class Robustness:
    """Drops of success (plain minus shifted) of two methods, and the first's minus the second's: negative is better."""

    first: str
    second: str
    tasks: tuple[str, ...]
    episodes: int
    first_drop: float
    second_drop: float
    difference: float
    low: float
    high: float


def compare_shift(records: Sequence[tuple[Path, Record]], methods: Sequence[str], head: str, shift: str
                  ) -> tuple[list[Robustness], list[str]]:  # fmt: skip
    """All pairs of `methods` on the episodes that both played plain and shifted. Raises `NothingInCommon`.

    records: task by task, of one suite and protocol.
    """
    own = [(path, r) for path, r in records if r.method in methods and r.head == head]
    kept, notes = comparable([r for _, r in own])
    cells: dict[str, dict[tuple[str, int], tuple[Record, Evaluation]]] = {method: {} for method in methods}
    for path, record in own:
        shifted = read_shifts(path, record).get(shift) if any(record is r for r in kept) else None
        if shifted is not None:
            cells[record.method][record.task, record.seed] = (record, shifted)
    found = []
    for first, second in combinations(methods, 2):
        shared = sorted(set(cells[first]) & set(cells[second]))
        strata = [_values(*cells[first][key], *cells[second][key]) for key in shared]
        strata = [values for values in strata if values]
        if not strata:
            raise NothingInCommon(
                f"{first} and {second} have no cell of the same task and training seed that was retested under {shift} "
                f"with head {head}; `bench run` with --shift, or a suite that has it, plays them"
            )
        drops = [[sum(v[side] for v in values) / len(values) for values in strata] for side in (0, 1)]
        found.append(Robustness(
            first, second, tuple(dict.fromkeys(task for task, _ in shared)), sum(map(len, strata)),
            sum(drops[0]) / len(strata), sum(drops[1]) / len(strata),
            *difference_in_difference([[a - b for a, b in values] for values in strata]),
        ))  # fmt: skip
    return found, notes


def _values(first: Record, first_shifted: Evaluation, second: Record, second_shifted: Evaluation
            ) -> list[tuple[int, int]]:  # fmt: skip
    """Both methods' drop, -1, 0 or 1, in each episode that all four could be run on."""
    outcomes = [
        {row[0]: row[1] for row in evaluation.episodes if row[3] is None}
        for evaluation in (first.retest, first_shifted, second.retest, second_shifted)
    ]
    shared = sorted(set.intersection(*(set(one) for one in outcomes)))
    a, a_shifted, b, b_shifted = outcomes
    return [(a[s] - a_shifted[s], b[s] - b_shifted[s]) for s in shared]


def robustness_table(found: Sequence[Robustness], notes: Sequence[str], title: str) -> Table:
    rows = tuple(
        (f"{one.first} - {one.second}", str(len(one.tasks)), str(one.episodes), f"{100 * one.first_drop:+.1f}",
         f"{100 * one.second_drop:+.1f}",
         f"{100 * one.difference:+.1f} [{100 * one.low:+.1f}, {100 * one.high:+.1f}]")
        for one in found
    )  # fmt: skip
    own = (
        "drop: success without the shift minus under it, in points. difference in difference: the first's drop minus "
        "the second's, on the same episodes, with a 95 % interval of these rollouts alone; negative: the first loses "
        "less. A method that never succeeds has nothing to lose: look at the rates too.",
    )
    columns = ("pair", "tasks", "episodes", "drop of the first", "of the second", "difference in difference")
    return Table(title, columns, rows, (*own, *notes), text_columns=1)
