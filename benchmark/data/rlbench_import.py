"""Stored demonstrations of RLBench as ours: keyframes, with what a method observes there. No simulator is needed.

Each episode of `dataset_generator`'s folders becomes a few rows: the moment before an action (the last keyframe), and
the action to the next one (`envs.rlbench.keyframes`). Images, depth, clouds, state and frames are those of the
simulator `rlbench`, computed by the same code. Whether the keyframes, sent as actions, would succeed is not known.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmark.data.demo_file import save
from benchmark.data.demo_places import imported_path
from benchmark.data.demos import Demos, Sensors, digest_of
from benchmark.data.episodes import Episodes
from benchmark.data.panda_base import NotAPanda
from benchmark.data.rlbench_files import Episode, find_episodes
from benchmark.data.safe_pickle import Hostile, Refused
from benchmark.settings import seeds
from benchmark.settings.settings import Settings
from benchmark.system.errors import ConfigError
from benchmark.system.files import exclusive
from benchmark.system.progress import bar, say
from envs.recorded_views import View
from envs.rlbench.facts import TASKS
from envs.rlbench.keyframes import action_between, find_keyframes
from envs.rlbench.sensing import DARK, fields_of, nothing_is_far, pose_of, proprio_of
from envs.rlbench_port.places import BASE
from envs.spec import Observation, ObservationRequest

FEWEST = 2
"""Keyframes of a demonstration: with fewer nothing was grasped, and nothing came after."""
EVERYWHERE = "all_variations"
"""The folder in which PerAct's data has the episodes of all variations."""
MEND = "Generate the data with it"
NEAR_BASE = 0.05
"""Metres by which the robot's place, found from nominal link lengths, may be off."""


class Unusable(ValueError):
    """An episode that is no demonstration. The message is the end of a sentence that names it."""


@dataclass(frozen=True)
class Imported:
    """left: episodes that were passed over, and why."""

    task: str
    path: Path
    demos: Demos
    left: tuple[str, ...]


def import_tasks(
    root: Path, data: Path, settings: Settings, tasks: Sequence[str], lift3d: bool = False
) -> list[Imported]:
    """From ROOT/TASK/... to the folder of demonstrations, where `bench run` finds them. lift3d: as `proprio_of`.

    Raises `ConfigError` for a suite that does not take them and for data that is not as it has to be, `Hostile` for a
    pickle that asks to run something.
    """
    suite = settings.suite
    if suite.env != "rlbench":
        raise ConfigError(f"{suite.name} plays in {suite.env}; RLBench's demonstrations want a suite of env: rlbench")
    if not suite.stores:
        raise ConfigError(f"{suite.name} does not say what its demonstrations hold: name fields in suite.stores")
    request = settings.request(suite.stores, None)
    settings.simulator().specs(request)
    return [_import_task(root, data, settings, task, request, lift3d) for task in tasks]


def _import_task(
    root: Path, data: Path, settings: Settings, task: str, request: ObservationRequest, lift3d: bool
) -> Imported:
    protocol, suite = settings.of_task(task), settings.suite.name
    if task not in TASKS:
        raise ConfigError(f"{task} is none of the tasks of RLBench that are known here: {', '.join(TASKS)}")
    found = _episodes(root, task)
    chosen: list[tuple[int, Episode, Rows]] = []
    left: list[str] = []
    with bar(f"demonstrations {task}", protocol.demos) as advance:
        for number, episode in enumerate(found):
            try:
                chosen.append((number, episode, keyframe_rows(episode, request, protocol.horizon, lift3d)))
                advance()
            except Hostile:
                raise
            except Unusable as reason:
                left.append(f"{episode.folder} {reason}")
            except (Refused, FileNotFoundError) as reason:
                left.append(str(reason))
            episode.forget()
            if len(chosen) == protocol.demos:
                break
    if len(chosen) < protocol.demos:
        why = f"; {len(left)} of {len(found)} were left out, the first: {left[0]}" if left else ""
        raise ConfigError(
            f"{root} has {len(chosen)} demonstrations of {task}, and {protocol.demos} are wanted "
            f"(protocol.train_demos={protocol.train_demos}, protocol.valid_demos={protocol.valid_demos}){why}"
        )
    _say_instruction(settings, task, chosen[0][1])
    _say_base(chosen[0][1])
    demos = _demos(settings, task, chosen, request, lift3d)
    path = imported_path(data, suite, task, protocol, request)
    with exclusive(path.with_suffix(".lock"), f"demonstrations of {task}", wait=True, notify=say):
        save(demos, path, settings.env_python)
    return Imported(task, path, demos, tuple(left))


def _episodes(root: Path, task: str) -> list[Episode]:
    home = root / task.replace("-", "_")
    folders = {path.parents[1].name for path in home.glob("*/episodes/episode*")}
    if EVERYWHERE in folders and len(folders) > 1:
        raise ConfigError(f"{home} has {EVERYWHERE} and {sorted(folders - {EVERYWHERE})[0]}: the same episodes twice?")
    if home.is_dir() and not folders:
        raise ConfigError(f"{home} has no episodes; they lie in variationN/episodes/episodeN")
    return find_episodes(root, task, sum(1 for _ in home.glob("*/episodes/episode*")))


@dataclass(frozen=True)
class Rows:
    """steps (T,): which moments of the recording the rows are. actions (T, 8), proprio (T, 15) float32."""

    steps: tuple[int, ...]
    actions: np.ndarray
    proprio: np.ndarray


def keyframe_rows(episode: Episode, request: ObservationRequest, most: int, lift3d: bool = False) -> Rows:
    """most: keyframes of an episode. lift3d: as `proprio_of`. Raises `Unusable`, or `ConfigError` for what the whole
    data set lacks."""
    opened = episode.each("gripper_open", (), "1 open, 0 closed", MEND)
    velocities = episode.each("joint_velocities", (7,), "7 joint velocities in rad/s", MEND)
    episode.each("joint_positions", (7,), "7 joint angles in radians", MEND)
    turned = episode.each("gripper_pose", (7,), "x, y, z in metres and a quaternion", MEND)[:, 3:]
    if (abs(np.linalg.norm(turned, axis=1) - 1) > 1e-2).any():
        raise Unusable("has a gripper_pose whose quaternion is none")
    for camera in request.cameras:
        _count_pictures(episode, camera, len(opened))
    keys = find_keyframes(opened, velocities)
    if len(keys) < FEWEST:
        raise Unusable(f"has {len(keys)} keyframe{'s'[: len(keys) != 1]}, and a demonstration has at least {FEWEST}")
    if len(keys) > most:
        raise Unusable(f"has {len(keys)} keyframes, and an episode {most} (suite.rules.horizon)")
    poses = {step: pose_of(episode.observations[step]) for step in (0, *keys)}
    steps = (0, *keys[:-1])
    actions = [action_between(*poses[a], *poses[b], bool(opened[b] > 0.5)) for a, b in zip(steps, keys, strict=True)]
    proprio = [proprio_of(episode.observations[step], lift3d) for step in steps]
    _seen(episode, steps[0], request, proprio[0])  # what is wrong with its images is said before others are converted
    return Rows(steps, np.stack(actions), np.stack(proprio))


def _count_pictures(episode: Episode, camera: str, moments: int) -> None:
    for kind in ("rgb", "depth"):
        folder = episode.folder / f"{camera}_{kind}"
        if not folder.is_dir():
            raise ConfigError(
                f"{folder} is no folder: {camera}'s {kind} was not recorded. Choose other cameras "
                "(suite.observation.cameras), or generate the data with it"
            )
        there = sum(1 for _ in folder.glob("*.png"))
        if there != moments:
            raise Unusable(f"has {moments} observations and {there} images in {folder.name}: it was cut off")


def _seen(episode: Episode, step: int, request: ObservationRequest, proprio: np.ndarray) -> Observation:
    """The fields of one moment. proprio: (15,) of it. Raises `Unusable`, or `ConfigError` for images of another
    size."""
    views = {}
    for camera in request.cameras:
        try:
            view = episode.view(camera, step, BASE)
        except FileNotFoundError as error:
            raise Unusable(f"is not whole: {error}") from error
        if view.rgb.shape[:2] != request.size_of(camera) or view.depth.shape != request.size_of(camera):
            height, width = view.rgb.shape[:2]
            raise ConfigError(
                f"{episode.folder}: the images of {camera} have {height} x {width} pixels, and the suite "
                f"{' x '.join(map(str, request.size_of(camera)))}: give suite.observation.height={height} "
                f"suite.observation.width={width}, here and to `bench run`, or generate the data with --image_size"
            )
        if view.rgb.max(initial=0) <= DARK:
            raise Unusable(f"was not drawn: {camera}_rgb/{step}.png is black (QT_QPA_PLATFORM=offscreen?)")
        *_, near, far = episode.calibrated(camera, step)
        views[camera] = View(view.rgb, nothing_is_far(view.depth, near, far), view.intrinsics, view.extrinsics)
    return fields_of(views, request, proprio)


def _fields(episodes: Sequence[tuple[Episode, Rows]], request: ObservationRequest, number: int) -> Observation:
    """Of all rows of one episode, (T, ...), from its files."""
    episode, rows = episodes[number]
    seen = [_seen(episode, step, request, own) for step, own in zip(rows.steps, rows.proprio, strict=True)]
    episode.forget()
    return {name: np.stack([one[name] for one in seen]) for name in seen[0]}


def _demos(
    settings: Settings,
    task: str,
    chosen: Sequence[tuple[int, Episode, Rows]],
    request: ObservationRequest,
    lift3d: bool,
) -> Demos:
    suite, protocol, version = settings.suite, settings.of_task(task), settings.simulator().version
    lengths = tuple(len(rows.steps) for _, _, rows in chosen)
    success = np.concatenate([np.arange(length) == length - 1 for length in lengths])
    read = functools.partial(_fields, [(episode, rows) for _, episode, rows in chosen], request)
    digests = []
    with bar(f"observations {task}", len(chosen)) as advance:
        for number in range(len(chosen)):
            digests.append(digest_of(read(number)))
            advance()
    return Demos(
        env=suite.env,
        env_version=version,
        suite=suite.name,
        task=task,
        train=protocol.train_demos,
        # names alone: nothing is drawn from them
        seeds=tuple(seeds.derive(suite.name, task, "demo", number) for number, _, _ in chosen),
        attempts=chosen[-1][0] + 1,
        arrays={
            "actions": np.concatenate([rows.actions for _, _, rows in chosen]),
            "rewards": success.astype(np.float32),
            "success": success,
            "proprio": np.concatenate([rows.proprio for _, _, rows in chosen]),
        },
        episodes=Episodes(lengths),
        sensors=Sensors(
            json.dumps(request.canonical(), sort_keys=True),
            f"stored demonstrations of RLBench, imported by {version}" + (", compat=lift3d" if lift3d else ""),
            tuple(digests),
            read,
        ),
    )


def _say_base(episode: Episode) -> None:
    """Points are given from where RLBench's robot stands; what was recorded by another one would be elsewhere."""
    try:
        found = episode.base
    except NotAPanda as error:
        found = None
        why = str(error).partition(";")[0]
    if found is None or np.abs(found - BASE).max() > NEAR_BASE:
        said = why if found is None else f"its robot stands at {np.round(found, 3).tolist()} in the world"
        say(f"{episode.folder}: {said}; in RLBench it stands at {BASE.tolist()}, from where all points are given here")


def _say_instruction(settings: Settings, task: str, episode: Episode) -> None:
    ours = settings.simulator().instruction(task)
    if episode.instruction != ours:
        say(f"{task} is described there as '{episode.instruction}', and here as '{ours}': is it the same task?")
