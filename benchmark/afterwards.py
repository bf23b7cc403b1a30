"""What a finished cell's policy can still be asked: other cameras, and more episodes."""

from __future__ import annotations

from benchmark import seeds
from benchmark.cell import Cell, Paths
from benchmark.episodes import append_actions, evaluation_of
from benchmark.experiment import CellRun
from benchmark.policy.policy import Policy
from benchmark.pulse import Pulse
from benchmark.report.further import further_actions, read_further, write_further
from benchmark.report.joint import of_rows, split
from benchmark.report.record import Evaluation, Record, Row, read
from benchmark.rollout import Episode
from benchmark.shifting import play_shifts
from benchmark.stage import open_simulators
from benchmark.storage import exclusive
from benchmark.train import load_policy


class CheckpointGone(RuntimeError):
    """A record is there, but the checkpoint that it selected is not."""


def finished_policy(run: CellRun, record: Record) -> Policy:
    """The policy of a finished cell, with the weights that were retested. Raises `CheckpointGone`."""
    checkpoint = run.kept.checkpoint(record.selected_epoch)
    if not checkpoint.exists():
        raise CheckpointGone(
            f"{checkpoint} is gone, so {run.cell.label} cannot play any more episodes; --overwrite trains it again"
        )
    with run.stages() as stages:
        policy = run.prepare(stages).policy
    load_policy(policy, checkpoint)
    return policy


def retest_under(run: CellRun, record: Record, cameras: tuple[str, ...]) -> None:
    """Retest a finished cell under further cameras. Its lock is held by the caller. Raises `CheckpointGone`."""
    with Pulse(run.work, run.facts()) as run.pulse:
        policy = finished_policy(run, record)
        play_shifts(run.cell, run.paths, run.identity, policy, record.selected_epoch, cameras, run.play, run.workers)


def play_further(cell: Cell, paths: Paths, command: str, count: int) -> Evaluation:
    """`count` episodes of each task after the retest's, of a finished cell; what is missing is played and kept.

    Raises `Busy` or `CheckpointGone`.
    """
    target, work = cell.record(paths), cell.work(paths)
    with exclusive(work / "lock", cell.label, wait=False):
        record = read(target)
        known = read_further(target, record)
        blocks: dict[str, tuple[Row, ...]] = dict.fromkeys(cell.tasks, ())
        blocks |= split(known, cell.task) if known else {}
        first = len(record.retest.episodes) // len(cell.tasks)
        there = len(next(iter(blocks.values())))
        if known is not None and there >= count:
            return known
        run = CellRun(cell, paths, work, command, finished=record)
        played: list[Episode] = []
        with Pulse(work, run.facts()) as run.pulse:
            policy = finished_policy(run, record)
            for task in cell.tasks:
                chosen = seeds.retest_seeds(cell.settings.suite.name, task, first + count)[first + there :]
                pool, _ = open_simulators(cell, task, cell.request, run.workers)
                with pool:
                    episodes = run.play(policy, task, chosen, pool, f"play on {task} {cell.method_name}")
                blocks[task] += evaluation_of(record.selected_epoch, episodes, None, None).episodes
                played += episodes
        merged = of_rows(record.selected_epoch, [row for task in cell.tasks for row in blocks[task]])
        append_actions(further_actions(target), played)
        write_further(target, record, merged)
        return merged
