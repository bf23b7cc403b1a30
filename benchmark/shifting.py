"""The selected checkpoint on the same episodes: seen through other cameras (CLAR, section IV-E), or told otherwise."""

from __future__ import annotations

import dataclasses
from typing import Protocol

import numpy as np

from benchmark import seeds
from benchmark.cell import Cell, Paths
from benchmark.episodes import evaluation_of, save_actions
from benchmark.errors import ConfigError
from benchmark.language import PREFIX, SEEN
from benchmark.policy.policy import EmptyCloud, Policy
from benchmark.progress import say
from benchmark.protocol import Settings
from benchmark.report.record import BadRecord, Evaluation, read
from benchmark.report.shifts import actions_path, load, shifted_cameras, shifts_path, write_shifts
from benchmark.rollout import Episode
from benchmark.stage import open_simulators
from benchmark.storage import discard
from envs.pool import Pool, WorkerError


class Play(Protocol):
    """Episodes of one task, by the seeds given."""

    def __call__(self, policy: Policy, task: str, chosen: list[int], pool: Pool, title: str,
                 instructions: str = SEEN) -> list[Episode]: ...  # fmt: skip


def moved_cameras(settings: Settings, shift: str | None) -> tuple[str, ...]:
    """Cameras of `--shift`, around the suite's one. Raises `ConfigError` or `SpecMismatch`."""
    if shift is None:
        return ()
    cameras = tuple(settings.suite.observation.get("cameras", ()))
    if len(cameras) != 1:
        raise ConfigError(f"--shift moves one camera, and {settings.suite.name} has {', '.join(cameras) or 'none'}")
    found = tuple(shifted_cameras(shift, cameras[0]))
    request = settings.suite.request(("points", "points_valid"), None)
    for camera in found:
        settings.suite.env_class().specs(dataclasses.replace(request, cameras=(camera,)))
    return found


def play_shifts(cell: Cell, paths: Paths, identity: str, policy: Policy, epoch: int, shifts: tuple[str, ...],
                play: Play, workers: int) -> None:  # fmt: skip
    """Retest under each shift that is missing; what is finished is kept after each, with its actions.

    shifts: cameras, or `instructions=` and which. policy: with the weights of `epoch`. Clouds are in the robot's frame
    whichever camera they come from; a camera that sees nothing inside the crop, or that cannot be had, counts as an
    error of every episode, not as failures.
    """
    target = cell.record(paths)
    found = _kept(cell, paths, identity, epoch)
    for shift in shifts:
        if shift not in found:
            episodes = [e for task in cell.tasks for e in _played(cell, task, shift, policy, play, workers)]
            found[shift] = evaluation_of(epoch, episodes, None, None)
            save_actions(actions_path(target, shift), episodes)
            write_shifts(target, identity, epoch, found)


def _played(cell: Cell, task: str, shift: str, policy: Policy, play: Play, workers: int) -> list[Episode]:
    suite, protocol = cell.settings.suite, cell.settings.protocol
    chosen = seeds.retest_seeds(suite.name, task, protocol.retest_rollouts)
    told = shift.startswith(PREFIX)
    request = cell.request if told else dataclasses.replace(cell.request, cameras=(shift,))
    try:
        pool, _ = open_simulators(cell, task, request, workers)
        with pool:
            return play(policy, task, chosen, pool, f"retest {task} {shift}", shift[len(PREFIX) :] if told else SEEN)
    except (EmptyCloud, WorkerError) as error:  # a view that cannot be had must not cost the cell its record
        say(f"{cell.label} under {shift}: {error}")
        nothing = np.zeros((0, 0), np.float32)
        return [Episode(seed, False, 0, str(error), nothing) for seed in chosen]


def _kept(cell: Cell, paths: Paths, identity: str, epoch: int) -> dict[str, Evaluation]:
    """Of an earlier start of this very cell; another's are dropped, as its record is."""
    target = cell.record(paths)
    file = shifts_path(target)
    try:
        kept_identity, kept_epoch, found = load(file)
        known = read(target) if target.exists() else None
        hashes = known.hashes if known is not None and known.identity_hash == identity else {identity}
        if kept_identity in hashes and kept_epoch == epoch:
            return found
    except BadRecord:
        pass
    discard(file)
    return {}
