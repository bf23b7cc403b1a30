"""Collecting demonstrations: the expert plays the task's demo seeds until enough episodes are accepted."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.data.demo_file import load, save
from benchmark.data.demo_places import imported_path, is_imported
from benchmark.data.demos import ARRAYS, FORMAT, DamagedDemos, Demos, Sensors, digest_of
from benchmark.data.episodes import Episodes
from benchmark.settings import seeds
from benchmark.settings.protocol import Protocol
from benchmark.system.errors import ConfigError
from benchmark.system.files import ReadOnly, discard, exclusive, explain, write_atomically
from benchmark.system.progress import bar, say
from envs.description import describe
from envs.errors import UserError
from envs.expert import OBSERVED
from envs.pool import EnvConfig, Pool
from envs.spec import ObservationRequest
from envs.versions import simulator_facts

PROPRIO = ObservationRequest(fields=("proprio",))
Episode = dict[str, np.ndarray]
"""As `envs.expert.expert_episode` gives it."""


class ExpertFails(UserError, RuntimeError):
    """The scripted expert failed too often in a row; demonstrations of this task cannot be collected."""


def stored_request(
    env: str, request: ObservationRequest | None, python: str | None = None
) -> ObservationRequest | None:
    """What of an observation is stored with demonstrations: nothing where states are, which draw any of them.

    Raises `ConfigError` for a simulator that restores no state if nothing was asked for.
    """
    if describe(env, python).restorable:
        return None
    if request is None:
        raise ConfigError(
            f"{env} restores no state, so its demonstrations hold what a method observes: say which (--method)"
        )
    return request


def demo_path(
    root: Path,
    suite: str,
    env: str,
    task: str,
    protocol: Protocol,
    python: str | None = None,
    request: ObservationRequest | None = None,
) -> Path:
    """Where a task's demonstrations are; the name changes with everything that decides what is in them. Where there are
    imported ones (`benchmark.data.demo_places`), those.

    protocol: with the task's own rules (`Settings.of_task`). python: the simulator's interpreter, None for this one.
    request: what is to be seen in them; part of the name only where the simulator restores no state. Raises
    `NoSimulator`.
    """
    stored = stored_request(env, request, python)
    if stored is not None and (imported := imported_path(root, suite, task, protocol, stored)).exists():
        return imported
    simulator = {key: value for key, value in simulator_facts(env, python).items() if key != "fpsample"}
    facts = [
        FORMAT,
        simulator,
        suite,
        task,
        protocol.train_demos,
        protocol.valid_demos,
        protocol.horizon,
        protocol.min_success_steps,
        protocol.max_expert_failures,
    ]
    later: dict[str, Any] = {}
    if protocol.stop_after_success is not None:
        later["stop_after_success"] = protocol.stop_after_success
    if stored is not None:
        later["observation"] = stored.canonical()
    if later:
        facts.append(later)
    key = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:8]
    return root / "demos" / suite / f"{task}-{key}.hdf5"


def load_or_collect(
    root: Path,
    suite: str,
    env: str,
    task: str,
    protocol: Protocol,
    workers: int,
    python: str | None = None,
    request: ObservationRequest | None = None,
) -> Demos:
    """The task's demonstrations, collected if they are not there. A damaged file is named and collected again.

    The arguments are those of `demo_path`.
    """
    path = demo_path(root, suite, env, task, protocol, python, request)
    if is_imported(path):
        return _imported(path)
    with contextlib.suppress(FileNotFoundError, DamagedDemos):
        return load(path)  # without a lock, which a folder for reading only has no place for: the file is whole or not
    try:
        with exclusive(path.with_suffix(".lock"), f"demonstrations of {task}", wait=True, notify=say):
            try:
                return load(path)
            except FileNotFoundError:
                pass
            except DamagedDemos as error:
                say(f"{error}; collecting again")
                with explain(path):
                    path.replace(path.with_suffix(".damaged"))
            demos = collect(path, suite, env, task, protocol, workers, python, request)
            save(demos, path, python)
            discard(_partial(path))
            return demos if demos.sensors is None else load(path)
    except ReadOnly as error:
        state = "is damaged" if path.exists() else "is not there"
        raise ReadOnly(
            f"{path} {state}, and {root} cannot be written ({error.reason}) to collect it; choose another folder with "
            "--data, or run `bench collect` where this one can be written",
            error.path,
            error.reason,
        ) from error


def _imported(path: Path) -> Demos:
    """Raises `ConfigError` for damage: the simulator would give other demonstrations than those that are gone."""
    say(f"learning from the demonstrations that were imported into {path}")
    try:
        return load(path)
    except DamagedDemos as error:
        raise ConfigError(f"{error}; import them again (`bench import`), or remove the file to collect some") from error


def collect(
    path: Path,
    suite: str,
    env: str,
    task: str,
    protocol: Protocol,
    workers: int,
    python: str | None = None,
    request: ObservationRequest | None = None,
) -> Demos:
    """Run the expert on the task's demo seeds until enough episodes are accepted.

    An episode is accepted if success was seen in at least `min_success_steps` of its steps, and it did not end by an
    action that failed. The accepted ones are the first in the order of their seeds, so the result does not depend on
    how many workers there are. Every episode is kept beside `path` until the file is written: after a kill the same
    call goes on where it stopped.
    """
    partial, version = _partial(path), simulator_facts(env, python)["version"]
    stored = stored_request(env, request, python)
    files = {int(file.stem): file for file in partial.glob("*.npz") if file.stem.isdecimal()}
    known = {index: episode for index, file in files.items() if (episode := _read_episode(file, stored is None))}
    wanted = protocol.demos

    def good_enough(index: int) -> bool:
        episode = known[index]
        return bool(episode["success"].sum() >= protocol.min_success_steps) and not episode["failed"]

    def still_needed() -> list[int]:
        """Attempts to make if all of them succeed: the fewest, with the lowest numbers."""
        missing, hoped, index = [], 0, 0
        while hoped < wanted:
            if index not in known:
                missing.append(index)
            hoped += index not in known or good_enough(index)
            index += 1
        return missing

    def accepted() -> list[int]:
        """Accepted attempts among the first unbroken run of known ones; raises if the expert fails too often."""
        good, failures = [], 0
        for index in range(len(known)):
            if index not in known:
                break
            if good_enough(index):
                good.append(index)
                failures = 0
            else:
                failures += 1
                if failures > protocol.max_expert_failures and len(good) < wanted:
                    last = [len(known[one]["actions"]) for one in range(index - failures + 1, index + 1)]
                    short = (
                        f"each of them has all {protocol.horizon} steps that there are: if it needs more, raise "
                        "suite.rules.horizon or protocol.horizon, whichever the suite has. "
                        if set(last) == {protocol.horizon}
                        else ""
                    )
                    raise ExpertFails(
                        f"the expert of {task} failed {failures} times in a row (attempts {index - failures + 1} to "
                        f"{index}); {short}see `bench show {suite}` and the simulator's version ({version}). "
                        f"protocol.max_expert_failures={protocol.max_expert_failures} sets the limit"
                    )
            if len(good) == wanted:
                break
        return good

    with bar(f"demonstrations {task}", wanted, len(accepted())) as advance:
        shown = len(accepted())
        if shown < wanted:
            with Pool(EnvConfig(env, task, stored or PROPRIO, python), min(workers, wanted)) as pool:
                drawn_by = next(pool.map("fingerprint", [()]))[1] if stored else ""
                while len(accepted()) < wanted:
                    missing = still_needed()
                    jobs = [
                        (seeds.derive(suite, task, "demo", index), protocol.horizon, protocol.stop_after_success)
                        for index in missing
                    ]
                    for job, episode in pool.map("expert_episode", jobs):
                        file = partial / f"{missing[job]:05d}.npz"
                        _keep_episode(file, episode | ({"fingerprint": np.array(drawn_by)} if stored else {}))
                        known[missing[job]] = {name: a for name, a in episode.items() if not name.startswith(OBSERVED)}
                        now = len(accepted())
                        advance(now - shown)
                        shown = now
    chosen = accepted()
    return Demos(
        env=env,
        env_version=version,
        suite=suite,
        task=task,
        train=protocol.train_demos,
        seeds=tuple(seeds.derive(suite, task, "demo", index) for index in chosen),
        attempts=chosen[-1] + 1,
        arrays={n: np.concatenate([known[i][n] for i in chosen]) for n in ARRAYS if n in known[chosen[0]]},
        episodes=Episodes(tuple(len(known[index]["actions"]) for index in chosen)),
        sensors=_sensors(stored, [partial / f"{index:05d}.npz" for index in chosen]) if stored else None,
    )


def _partial(path: Path) -> Path:
    return path.with_suffix(".partial")


def _keep_episode(file: Path, episode: Episode) -> None:
    buffer = io.BytesIO()
    arrays: dict[str, Any] = dict(episode)
    np.savez(buffer, **arrays)
    write_atomically(file, lambda target: target.write(buffer.getbuffer()))


def _read_episode(file: Path, states: bool) -> Episode | None:
    """Without what was observed, which may be large. states: whether it has to have some."""
    try:
        with np.load(file) as stored:
            found = {name: stored[name] for name in stored.files if not name.startswith(OBSERVED)}
        missing = set(ARRAYS if states else ARRAYS[1:]) - set(found)
        if missing:
            raise ValueError(f"it has no {', '.join(sorted(missing))}")
        return {"failed": np.array(False), **found}  # which files of an earlier version do not have
    except Exception as error:  # a garbled archive raises whatever its bytes happen to mean; it has checksums
        say(f"{file} is damaged ({type(error).__name__}): its episode is run again")
        discard(file)
        return None


def _sensors(request: ObservationRequest, files: list[Path]) -> Sensors:
    """What was observed in the accepted episodes, which lie beside the file that is to be written."""

    def read(number: int) -> Episode:
        with np.load(files[number]) as stored:
            return {n.removeprefix(OBSERVED): stored[n] for n in stored.files if n.startswith(OBSERVED)}

    with contextlib.ExitStack() as stack:
        drawn = {str(stack.enter_context(np.load(file))["fingerprint"]) for file in files}
    if len(drawn) > 1:
        raise UserError(
            f"{files[0].parent} has episodes that were drawn by {' and '.join(sorted(drawn))}: remove it, or go on "
            "where it was begun"
        )
    digests = tuple(digest_of(read(number)) for number in range(len(files)))
    return Sensors(json.dumps(request.canonical(), sort_keys=True), drawn.pop(), digests, read)
