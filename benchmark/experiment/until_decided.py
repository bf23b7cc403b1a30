"""Finished checkpoints of two methods play on, the same further episodes, until the evidence decides or at a limit.

It decides between these checkpoints: no number of episodes says what another training seed would do. The evidence is an
e-process over all episodes, the retests' first: it may be looked at after every batch, and its rate of false alarms is
at most alpha however often (`benchmark.report.statistics.betting`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmark.experiment.cell import Cell
from benchmark.experiment.finished_cell import play_further
from benchmark.experiment.make_cells import make_cells, read_label
from benchmark.records.further_episodes import read_further
from benchmark.records.joint_tasks import of_rows
from benchmark.records.paths import Paths
from benchmark.records.read import read
from benchmark.records.record import Record
from benchmark.report.statistics.betting import evidence
from benchmark.report.statistics.outcomes import align, successes
from benchmark.report.statistics.questions import CHECKPOINTS
from benchmark.settings.settings import Settings
from benchmark.system.errors import ConfigError
from methods.registry import table


@dataclass(frozen=True)
class Decision:
    """better: whose checkpoints, or None if `most` further episodes of each did not decide. e: evidence, 1 is none.

    first_ahead, second_ahead: episodes in which more of its checkpoints succeed than of the other's, of `episodes`.
    played, saved: further rollouts of both methods together, and how many fewer than `most` of each cell they were.
    question: what it answers; nothing about the methods retrained.
    """

    better: str | None
    e: float
    needed: float
    first_ahead: int
    second_ahead: int
    episodes: int
    played: int
    saved: int
    question: str = CHECKPOINTS


def until_decided(
    first: Sequence[Cell],
    second: Sequence[Cell],
    paths: Paths,
    alpha: float,
    batch: int,
    most: int,
    command: str,
    notify: Callable[[str], None],
) -> Decision:
    """first, second: finished cells of the same tasks; their training seeds need not be the same."""
    cells = [*first, *second]
    each = min(_further(cell.record(paths)) for cell in cells)  # of an earlier call
    while True:
        ahead = _differences(first, second, paths)
        b, c = sum(value > 0 for value in ahead), sum(value < 0 for value in ahead)
        e = evidence(ahead)
        notify(f"{CHECKPOINTS}: {len(ahead)} episodes, {b} : {c} where one is ahead, evidence {e:.3g} of {1 / alpha:g}")
        decided = e >= 1 / alpha
        if decided or each >= most:
            better = None if not decided else (first if sum(ahead) > 0 else second)[0].method_name
            count = len(cells)
            return Decision(better, e, 1 / alpha, b, c, len(ahead), count * each, count * (most - each))
        each = min(each + batch, most)
        for cell in cells:
            play_further(cell, paths, command, each)


def finished_cells(
    settings: Settings,
    records: Sequence[tuple[Path, Record]],
    method: str,
    weights: str | None,
    paths: Paths,
    file: str | None = None,
) -> dict[tuple[str, int], Cell]:
    """Cells of a method by task and seed that have their record under OUT, as `bench run` made them.

    method: as tables name it, options and weights included. file: `path/to/file.py:Class` of one that is not
    registered. Raises `ConfigError` if it cannot be made again from that.
    """
    name, labelled, own = read_label(method, settings)
    if file is None and name not in table():
        raise ConfigError(f"{name} is no registered method, and its policy has to be built: give path/to/file.py:Class")
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
        (cell,) = make_cells(own, [whole], [file or name], [record.seed], weights)
        if cell.record(paths).resolve() != path.resolve():
            continue  # a record from elsewhere, whose checkpoint is not here
        if cell.identity_hash() != record.identity_hash:
            raise ConfigError(f"{path} was made under other settings than these; give the same key=value as then")
        found[whole, record.seed] = cell
    if not found:
        raise ConfigError(f"no finished cell of {method} under {paths.records}, whose policy could play on")
    return found


def _differences(first: Sequence[Cell], second: Sequence[Cell], paths: Paths) -> list[float]:
    """Of each episode that all checkpoints of its task could be run on, the first's mean success minus the second's.

    Checkpoints of one method are alike in which episodes they find hard: an episode is one piece of evidence.
    """
    arms: list[dict[str, dict[int, dict[int, float]]]] = [{}, {}]
    for arm, cells in zip(arms, (first, second), strict=True):
        for cell in cells:
            arm.setdefault(cell.task, {})[cell.seed] = _all_episodes(cell.record(paths))
    data = align(arms, sorted(arms[0]))
    return [float(d) for a, b in zip(*data.arms, strict=True) for d in a.mean(0) - b.mean(0)]


def _further(path: Path) -> int:
    found = read_further(path, read(path))
    return len(found.episodes) if found else 0


def _all_episodes(path: Path) -> dict[int, float]:
    record = read(path)
    more = read_further(path, record)
    return successes(of_rows(record.selected_epoch, record.retest.episodes + (more.episodes if more else ())))
