"""The selected checkpoint on the same episodes, seen through other cameras (CLAR, section IV-E)."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from benchmark import seeds
from benchmark.cell import Cell, Paths
from benchmark.data.observations import open_pool
from benchmark.episodes import evaluation_of, save_actions
from benchmark.errors import ConfigError
from benchmark.policy.policy import EmptyCloud, Policy
from benchmark.progress import say
from benchmark.protocol import Settings
from benchmark.report.record import BadRecord, Evaluation, Tally
from benchmark.report.shifts import actions_path, load, shifted_cameras, shifts_path, write_shifts
from benchmark.rollout import Episode
from benchmark.storage import discard
from envs.pool import Pool, WorkerError

Play = Callable[[Policy, list[int], Pool, str], list[Episode]]


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


def play_shifts(cell: Cell, paths: Paths, identity: str, policy: Policy, epoch: int, cameras: tuple[str, ...],
                play: Play, workers: int) -> None:  # fmt: skip
    """Retest under each camera that is missing; what is finished is kept after each, with its actions.

    policy: with the weights of `epoch`. Clouds are in the robot's frame whichever camera they come from; a camera that
    sees nothing inside the crop, or that cannot be had, counts as an error of every episode, not as failures.
    """
    target, suite, protocol = cell.record(paths), cell.settings.suite, cell.settings.protocol
    found = _kept(cell, paths, identity, epoch)
    chosen = seeds.retest_seeds(suite.name, cell.task, protocol.retest_rollouts)
    for camera in cameras:
        if camera in found:
            continue
        request = dataclasses.replace(cell.request, cameras=(camera,))
        timeout = cell.settings.runtime.worker_timeout
        try:
            pool, _ = open_pool(suite.env, cell.task, request, workers, cell.settings.env_python, timeout)
            with pool:
                episodes = play(policy, chosen, pool, f"retest {cell.task} {camera}")
            found[camera] = evaluation_of(epoch, episodes, None, None)
            save_actions(actions_path(target, camera), episodes)
        except (EmptyCloud, WorkerError) as error:  # a view that cannot be had must not cost the cell its record
            say(f"{cell.label} under {camera}: {error}")
            rows = tuple((seed, 0, 0, str(error)) for seed in chosen)
            found[camera] = Evaluation(epoch, Tally(0, 0, len(rows)), rows)
        write_shifts(target, identity, epoch, found)


def _kept(cell: Cell, paths: Paths, identity: str, epoch: int) -> dict[str, Evaluation]:
    """Of an earlier start of this very cell; another's are dropped, as its record is."""
    file = shifts_path(cell.record(paths))
    try:
        kept_identity, kept_epoch, found = load(file)
        if (kept_identity, kept_epoch) == (identity, epoch):
            return found
    except BadRecord:
        pass
    discard(file)
    return {}
