"""What a finished cell's policy can still be asked: other cameras, and more episodes."""

from __future__ import annotations

from benchmark import seeds
from benchmark.cell import Cell, Paths
from benchmark.data.observations import open_pool
from benchmark.episodes import append_actions, join
from benchmark.experiment import CellRun
from benchmark.policy.policy import Policy
from benchmark.pulse import Pulse
from benchmark.report.further import further_actions, read_further, write_further
from benchmark.report.record import Evaluation, Record, read
from benchmark.shifting import play_shifts
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
    demos, pool, fingerprint = run.open_simulator()
    with pool:
        policy, _, _ = run.make_policy(demos, run.cell.specs(), pool, fingerprint)
    load_policy(policy, checkpoint)
    return policy


def retest_under(run: CellRun, record: Record, cameras: tuple[str, ...]) -> None:
    """Retest a finished cell under further cameras. Its lock is held by the caller. Raises `CheckpointGone`."""
    with Pulse(run.work, run.facts()) as run.pulse:
        policy = finished_policy(run, record)
        play_shifts(run.cell, run.paths, run.identity, policy, record.selected_epoch, cameras, run.play, run.workers)


def play_further(cell: Cell, paths: Paths, command: str, count: int) -> Evaluation:
    """`count` episodes after the retest's, of a finished cell; what is missing is played, and its actions kept.

    Raises `Busy` or `CheckpointGone`.
    """
    target, work = cell.record(paths), cell.work(paths)
    with exclusive(work / "lock", cell.label, wait=False):
        record = read(target)
        known = read_further(target, record)
        rows = known.episodes if known else ()
        first = len(record.retest.episodes)
        chosen = seeds.retest_seeds(cell.settings.suite.name, cell.task, first + count)[first + len(rows) :]
        if not chosen and known is not None:
            return known
        run = CellRun(cell, paths, work, command)
        with Pulse(work, run.facts()) as run.pulse:
            policy = finished_policy(run, record)
            suite, runtime = cell.settings.suite, cell.settings.runtime
            pool, _ = open_pool(suite.env, cell.task, cell.request, run.workers, cell.settings.env_python,
                                runtime.worker_timeout)  # fmt: skip
            with pool:
                episodes = run.play(policy, chosen, pool, f"play on {cell.task} {cell.method_name}")
        merged = join(record.selected_epoch, rows, episodes)
        append_actions(further_actions(target), episodes)
        write_further(target, record, merged)
        return merged
