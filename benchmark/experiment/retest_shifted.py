"""The selected checkpoint on the same episodes: seen through other cameras (CLAR, section IV-E), or told otherwise.

Or on the episodes of the training demonstrations, which tells a policy that has not learnt from a task that is hard.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from benchmark.data.demos import Demos
from benchmark.experiment.cell import Cell
from benchmark.experiment.evaluation import actions_of, evaluation_of
from benchmark.experiment.rollout import Episode
from benchmark.experiment.task_data import open_simulators
from benchmark.policy.act import EmptyCloud
from benchmark.records.actions import write_actions
from benchmark.records.hash_chain import linked, next_link
from benchmark.records.read import BadRecord
from benchmark.records.record import Evaluation
from benchmark.records.shifted_retests import load, shift_actions, shifted_cameras, shifts_path, write_shifts
from benchmark.settings import seeds
from benchmark.settings.instructions import PREFIX, SEEN
from benchmark.settings.settings import Settings
from benchmark.system.errors import ConfigError
from benchmark.system.files import discard
from benchmark.system.progress import say
from envs.pool import Pool, WorkerError
from methods.policy import Policy

DemosOf = Callable[[str], Demos]
"""The demonstrations of one of the cell's tasks."""


class Play(Protocol):
    """Episodes of one task, by the seeds given."""

    def __call__(
        self, policy: Policy, task: str, chosen: list[int], pool: Pool, title: str, instructions: str = SEEN
    ) -> list[Episode]: ...


def moved_cameras(settings: Settings, shift: str | None) -> tuple[str, ...]:
    """Cameras of `--shift`, around the suite's one. Raises `ConfigError` or `SpecMismatch`."""
    if shift is None:
        return ()
    cameras = tuple(settings.suite.observation.get("cameras", ()))
    if len(cameras) != 1:
        raise ConfigError(f"--shift moves one camera, and {settings.suite.name} has {', '.join(cameras) or 'none'}")
    found = tuple(shifted_cameras(shift, cameras[0]))
    request, simulator = settings.request(("points", "points_valid"), None), settings.simulator()
    for camera in found:
        simulator.specs(dataclasses.replace(request, cameras=(camera,)))
    return found


@dataclass(frozen=True)
class Played:
    """What a shift belongs to: the record's file, there or still to come, the cell's identity hash, and its retest.

    known_as: all hashes of the identity, those of earlier schemas too.
    """

    record: Path
    identity_hash: str
    known_as: Collection[str]
    retest: Evaluation


def play_shifts(
    cell: Cell, of: Played, policy: Policy, shifts: tuple[str, ...], play: Play, workers: int, demos: DemosOf
) -> None:
    """Retest under each shift that is missing; what is finished is kept after each, with its actions.

    shifts: cameras, `instructions=` and which, or `seeds=training`. policy: with the weights of the retest. Clouds are
    in the robot's frame whichever camera they come from; a camera that sees nothing inside the crop, or that cannot be
    had, counts as an error of every episode, not as failures.
    """
    found = _kept(of)
    for shift in shifts:
        if shift not in found:
            episodes = [e for task in cell.tasks for e in played_under(cell, task, shift, policy, play, workers, demos)]
            evaluation = evaluation_of(of.retest.epoch, episodes, of.retest.checkpoint)
            if of.retest.link is not None:  # a record from before there were chains has nothing to chain to
                evaluation = linked(of.retest.link, evaluation, shift)
            found[shift] = evaluation
            write_actions(shift_actions(of.record, shift), actions_of(episodes))
            write_shifts(of.record, of.identity_hash, of.retest.epoch, found)


def played_under(
    cell: Cell,
    task: str,
    shift: str,
    policy: Policy,
    play: Play,
    workers: int,
    demos: DemosOf,
    most: int | None = None,
) -> list[Episode]:
    """The retest's episodes of one task under a shift, or those trained on. most: only so many, the first."""
    suite, count = cell.settings.suite, cell.settings.protocol.retest_rollouts
    if shift == seeds.TRAINED_ON:
        own = demos(task)
        chosen = list(own.seeds[: own.train][:count])[:most]
    else:
        chosen = seeds.retest_seeds(suite.name, task, count)[:most]
    told = shift.startswith(PREFIX)
    request = cell.request if told or shift == seeds.TRAINED_ON else dataclasses.replace(cell.request, cameras=(shift,))
    try:
        pool, _ = open_simulators(cell, task, request, min(workers, len(chosen)))
        with pool:
            return play(policy, task, chosen, pool, f"retest {task} {shift}", shift[len(PREFIX) :] if told else SEEN)
    except (EmptyCloud, WorkerError) as error:  # a view that cannot be had must not cost the cell its record
        say(f"{cell.label} under {shift}: {error}")
        nothing = np.zeros((0, 0), np.float32)
        return [Episode(seed, False, 0, str(error), nothing) for seed in chosen]


def _kept(of: Played) -> dict[str, Evaluation]:
    """Of an earlier start of this very cell; another's are dropped, as its record is."""
    file = shifts_path(of.record)
    try:
        kept_identity, kept_epoch, found = load(file)
        chained = of.retest.link is None or all(
            evaluation.link == next_link(of.retest.link, evaluation, shift) for shift, evaluation in found.items()
        )
        if kept_identity in of.known_as and kept_epoch == of.retest.epoch and chained:
            return found
    except BadRecord:
        pass
    discard(file)
    return {}
