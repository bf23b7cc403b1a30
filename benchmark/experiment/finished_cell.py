"""What a finished cell's policy can still be asked: other cameras, and more episodes."""

from __future__ import annotations

import dataclasses
import functools

import torch

from benchmark.data.demos import Demos
from benchmark.experiment.cell import Cell
from benchmark.experiment.cell_run import CellRun
from benchmark.experiment.evaluation import actions_of, evaluation_of
from benchmark.experiment.retest_shifted import Played, play_shifts
from benchmark.experiment.rollout import Episode
from benchmark.experiment.task_data import join_hashes, load_demos, open_simulators
from benchmark.records.actions import read_actions, write_actions
from benchmark.records.further_episodes import further_actions, read_further, write_further
from benchmark.records.hash_chain import actions_digest, episode_digest, linked
from benchmark.records.joint_tasks import of_rows, split
from benchmark.records.paths import Paths
from benchmark.records.read import read
from benchmark.records.record import Evaluation, Record, Row
from benchmark.settings import seeds
from benchmark.settings.policy import PolicyConfig
from benchmark.system.files import exclusive
from benchmark.system.heartbeat import Heartbeat
from benchmark.training.checkpoint import DamagedCheckpoint, load_policy
from envs.errors import UserError
from methods.base import Representation
from methods.policy import Policy
from methods.registry import is_shipped


class CheckpointGone(UserError, RuntimeError):
    """A record is there, but the checkpoint that it selected is not."""


def finished_policy(run: CellRun, record: Record, language_dim: int | None = None) -> Policy:
    """The policy of a finished cell, with the weights that were retested. Raises `CheckpointGone`.

    language_dim: of the instructions' features, where a policy is wanted that is not played here: then the
    demonstrations are looked at only if the method has been fitted to them and its checkpoint does not say how.
    """
    checkpoint = run.kept.checkpoint(record.selected_epoch)
    if not checkpoint.exists():
        raise CheckpointGone(
            f"{checkpoint} is gone, so nobody can tell what {run.cell.label} has learned; --overwrite trains it again"
        )
    policy = _unfitted(run.cell, language_dim) if language_dim is not None else None
    if policy is None:
        with run.task_data() as task_data:
            here = join_hashes([of_task.demos for of_task in task_data])
            if here != record.demo_hash:
                raise CheckpointGone(
                    f"the demonstrations here are others than {run.cell.label} has learned from ({here[:12]}, not "
                    f"{record.demo_hash[:12]}): give its own with --data"
                )
            policy = run.prepare(task_data).policy
    try:
        weights = load_policy(policy, checkpoint, record.hashes, record.selected_epoch)
    except DamagedCheckpoint as error:
        raise CheckpointGone(f"{error}; --overwrite trains it again") from error
    if record.retest.checkpoint not in (None, weights):
        raise CheckpointGone(f"{checkpoint} is not the one that was retested; --overwrite trains it again")
    return policy


def _unfitted(cell: Cell, language_dim: int) -> Policy | None:
    """The cell's policy before training; None where `fit` may have set what no checkpoint keeps.

    That is in a frozen part, and in a method of somebody's own, which may use plain attributes.
    """
    torch.manual_seed(seeds.training_seed(cell.seed, "init"))  # as `prepare`: a frozen network may be a random one
    representation = cell.build(cell.specs())
    if representation is not None:
        fitted = type(representation).fit is not Representation.fit
        if fitted and (representation.frozen_part is not None or not is_shipped(cell.method)):
            return None
    elif not is_shipped(cell.method):
        return None
    if isinstance(cell.settings.head, PolicyConfig) and not is_shipped(cell.settings.head.policy):
        return None
    return cell.build_policy(representation, language_dim)


def retest_under(run: CellRun, record: Record, cameras: tuple[str, ...]) -> None:
    """Retest a finished cell under further cameras. Its lock is held by the caller. Raises `CheckpointGone`."""
    with Heartbeat(run.work, run.facts()) as run.heartbeat:
        policy = finished_policy(run, record)
        of = Played(run.cell.record(run.paths), run.identity, record.hashes, record.retest)

        @functools.cache
        def demos() -> dict[str, Demos]:
            found = load_demos(run.cell, run.paths, run.workers)
            if join_hashes(found) != record.demo_hash:
                raise CheckpointGone("the demonstrations here are not those that it was trained on")
            return dict(zip(run.cell.tasks, found, strict=True))

        play_shifts(run.cell, of, policy, cameras, run.play, run.workers, lambda task: demos()[task])


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
        with Heartbeat(work, run.facts()) as run.heartbeat:
            policy = finished_policy(run, record)
            for task in cell.tasks:
                chosen = seeds.retest_seeds(cell.settings.suite.name, task, first + count)[first + there :]
                pool, _ = open_simulators(cell, task, cell.request, run.workers)
                with pool:
                    episodes = run.play(policy, task, chosen, pool, f"play on {task} {cell.method_name}")
                blocks[task] += evaluation_of(record.selected_epoch, episodes, None).episodes
                played += episodes
        kept = read_actions(further_actions(target), record.longest) if known else {}
        own = {str(row[0]) for rows in blocks.values() for row in rows}
        actions = {name: array for name, array in (kept | actions_of(played)).items() if name in own}
        ended = dict(known.ended if known else ()) | dict(evaluation_of(record.selected_epoch, played, None).ended)
        merged = of_rows(record.selected_epoch, [row for task in cell.tasks for row in blocks[task]], ended)
        sent = actions_digest({name: episode_digest(array) for name, array in actions.items()})
        merged = dataclasses.replace(merged, checkpoint=record.retest.checkpoint, actions=sent)
        if record.retest.link is not None:
            merged = linked(record.retest.link, merged, "further")
        write_actions(further_actions(target), actions)
        write_further(target, record, merged)
        return merged
