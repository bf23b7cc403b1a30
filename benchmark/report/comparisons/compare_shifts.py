"""`bench compare --shift`: does one method lose less than another when the camera, or the instruction, is another?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from benchmark.records.read import BadRecord
from benchmark.records.record import Record
from benchmark.records.shifted_retests import read_shifts
from benchmark.report.comparisons.comparable import comparable, reference_notes
from benchmark.report.comparisons.compare import NothingInCommon
from benchmark.report.comparisons.compare_table import ABOUT, count, points
from benchmark.report.statistics.crossed import Scope
from benchmark.report.statistics.intervals import mean
from benchmark.report.statistics.one_seed import ONE_SEED
from benchmark.report.statistics.outcomes import Aligned, Played, align, drops, scope_of
from benchmark.report.statistics.questions import (
    CHECKPOINTS,
    METHODS,
    Answer,
    about_checkpoints,
    about_methods,
    in_family,
)
from benchmark.report.statistics.remarks import remarks
from benchmark.report.tables.table import Table


@dataclass(frozen=True)
class Robustness:
    """Drops of success (plain minus shifted) of two methods, and the first's minus the second's: negative is better.

    these_checkpoints, methods_retrained: as in `Comparison`, of the difference in difference.
    """

    first: str
    second: str
    tasks: tuple[str, ...]
    first_seeds: Mapping[str, tuple[int, ...]]
    second_seeds: Mapping[str, tuple[int, ...]]
    episodes: int
    first_drop: float
    second_drop: float
    these_checkpoints: Answer
    methods_retrained: Answer | None
    why_not_methods: str | None


def compare_shift(
    records: Sequence[tuple[Path, Record]], methods: Sequence[str], head: str, shift: str
) -> tuple[list[Robustness], list[str]]:
    """All pairs of `methods` on the episodes that both played plain and shifted. Raises `NothingInCommon`.

    records: task by task, of one suite and protocol.
    """
    own = [(path, r) for path, r in records if r.method in methods and r.head == head]
    kept, notes = comparable([r for _, r in own])
    notes += reference_notes(kept)
    scope, known = scope_of(kept), {id(record) for record in kept}
    cells: dict[str, dict[str, dict[int, dict[int, float]]]] = {method: {} for method in methods}
    for path, record in own:
        if id(record) not in known:
            continue
        try:
            shifted = read_shifts(path, record).get(shift)
        except BadRecord as error:
            notes.append(str(error))
            continue
        if shifted is not None:
            cells[record.method].setdefault(record.task, {})[record.seed] = drops(record.retest, shifted)
    found, data = [], []
    for first, second in combinations(methods, 2):
        tasks = sorted(set(cells[first]) & set(cells[second]))
        arms: list[Mapping[str, Played]] = [cells[first], cells[second]]
        one = align(arms, tasks, scope)
        if not one.tasks:
            raise NothingInCommon(
                f"{first} and {second} have no cell of the same task that was retested under {shift} "
                f"with head {head}; `bench run` with --shift, or a suite that has it, plays them"
            )
        data.append(one)
        found.append(_compared(first, second, one, scope))
    notes += remarks([(f"drop of {one.first}", f"drop of {one.second}") for one in found], data, scope)
    return in_family(found), list(dict.fromkeys(notes))


def _compared(first: str, second: str, data: Aligned, scope: Scope) -> Robustness:
    methods = about_methods(data, scope, 2.0)
    lost = [mean([float(values.mean()) for values in arm]) for arm in data.arms]
    return Robustness(
        first,
        second,
        data.tasks,
        dict(zip(data.tasks, data.seeds[0], strict=True)),
        dict(zip(data.tasks, data.seeds[1], strict=True)),
        sum(values.shape[1] for values in data.arms[0]),
        lost[0],
        lost[1],
        about_checkpoints(data, scope, 2.0),
        methods,
        ONE_SEED if methods is None else None,
    )


def robustness_table(found: Sequence[Robustness], notes: Sequence[str], title: str) -> Table:
    rows: list[tuple[str, ...]] = []
    for one in found:
        size = f"{len(one.tasks)} x {count(one.first_seeds)}, {count(one.second_seeds)}"
        rows.append(
            (
                f"{one.first} - {one.second}",
                CHECKPOINTS,
                size,
                str(one.episodes),
                f"{100 * one.first_drop:+.1f}",
                f"{100 * one.second_drop:+.1f}",
                *points(one.these_checkpoints),
            )
        )
        rows.append(("", METHODS, "", "", "", "", *points(one.methods_retrained)))
    own = [
        "drop: success without the shift minus under it, in points. difference in difference: the first's drop minus "
        "the second's, on the same episodes; negative: the first loses less. Holm: p adjusted for all pairs, "
        "separately for each question. A method that never succeeds has nothing to lose: compare the rates too.",
        ABOUT,
    ]
    if any(one.methods_retrained is None for one in found):
        own.append(f"{METHODS}: {ONE_SEED}.")
    columns = (
        "pair",
        "question",
        "tasks x seeds",
        "episodes",
        "drop of the first",
        "of the second",
        "difference in difference [95 %]",
        "p",
        "Holm",
    )
    rules = frozenset(range(2, len(rows), 2))
    return Table(title, columns, tuple(rows), (*own, *notes), rules, text_columns=2)
