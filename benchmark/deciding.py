"""Two finished methods play on, the same further episodes, until the evidence decides or the limit is reached.

The evidence is an e-process over all episodes that only one of them succeeds in, the retests' first: it may be looked
at after every batch, and its rate of false alarms is at most alpha however often (see `benchmark.report.paired`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmark.afterwards import play_further
from benchmark.cell import Cell, Paths, make_cells, read_label
from benchmark.errors import ConfigError
from benchmark.protocol import Settings
from benchmark.report.further import read_further
from benchmark.report.paired import Pairs, e_value, paired
from benchmark.report.record import Evaluation, Record, read


@dataclass(frozen=True)
class Decision:
    """better: which one, or None if `most` further episodes of each cell did not decide. e: evidence, 1 is none.

    played, saved: further episodes of both methods together, and how many fewer than `most` of each cell they were.
    """

    better: str | None
    e: float
    needed: float
    first_only: int
    second_only: int
    pairs: int
    played: int
    saved: int


def until_decided(first: Sequence[Cell], second: Sequence[Cell], paths: Paths, alpha: float, batch: int, most: int,
                  command: str, notify: Callable[[str], None]) -> Decision:  # fmt: skip
    """first, second: finished cells, pair by pair of the same task and training seed."""
    each = min(_further(cell.record(paths)) for cell in (*first, *second))  # of an earlier call
    while True:
        counts = [_evidence(a, b, paths) for a, b in zip(first, second, strict=True)]
        b, c = sum(s.first_only for s in counts), sum(s.second_only for s in counts)
        e, pairs = e_value(b, c), sum(s.n for s in counts)
        notify(f"{pairs} pairs, {b} : {c} where one alone succeeds, evidence {e:.3g} of {1 / alpha:g}")
        decided = e >= 1 / alpha
        if decided or each >= most:
            better = None if not decided else (first if b > c else second)[0].method_name
            cells = 2 * len(first)
            return Decision(better, e, 1 / alpha, b, c, pairs, cells * each, cells * (most - each))
        each = min(each + batch, most)
        for cell in (*first, *second):
            play_further(cell, paths, command, each)


def finished_cells(settings: Settings, records: Sequence[tuple[Path, Record]], method: str, weights: str | None,
                   paths: Paths) -> dict[tuple[str, int], Cell]:  # fmt: skip
    """Cells of a method by task and seed that have their record under OUT, as `bench run` made them.

    method: as tables name it, options and weights included. Raises `ConfigError` if it cannot be made again from that.
    """
    name, labelled, own = read_label(method, settings)
    if labelled == "random":
        weights = "random"
    elif labelled is not None and (weights is None or Path(weights).stem != labelled):
        raise ConfigError(f"{method} played with weights of the name {labelled}: give the file with --weights")
    elif labelled is None:
        weights = None
    found = {}
    for path, record in records:
        if record.method != method or record.head != settings.head.name:
            continue
        whole = record.identity["task"]  # of a joint policy, whose record is read task by task
        if (whole, record.seed) in found:
            continue
        (cell,) = make_cells(own, [whole], [name], [record.seed], weights)
        if cell.record(paths).resolve() != path.resolve():
            continue  # a record from elsewhere, whose checkpoint is not here
        if cell.identity_hash() != record.identity_hash:
            raise ConfigError(f"{path} was made under other settings than these; give the same key=value as then")
        found[whole, record.seed] = cell
    if not found:
        raise ConfigError(f"no finished cell of {method} under {paths.records}, whose policy could play on")
    return found


def _evidence(first: Cell, second: Cell, paths: Paths) -> Pairs:
    return paired(*(_all_episodes(cell.record(paths)) for cell in (first, second)))


def _further(path: Path) -> int:
    found = read_further(path, read(path))
    return len(found.episodes) if found else 0


def _all_episodes(path: Path) -> Evaluation:
    record = read(path)
    more = read_further(path, record)
    rows = record.retest.episodes + (more.episodes if more else ())
    return Evaluation(record.selected_epoch, record.retest.tally, rows)
