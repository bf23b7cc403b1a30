"""Collecting demonstrations: the expert plays the task's demo seeds until enough episodes are accepted."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.data.demo_file import load, save
from benchmark.data.demo_places import imported_path, is_imported
from benchmark.data.demos import ARRAYS, FORMAT, DamagedDemos, Demos
from benchmark.data.episodes import Episodes
from benchmark.data.kept_episodes import Known, arrays_of, keep_episode, known_of, sensors_of
from benchmark.data.states_on_disk import StatesOnDisk
from benchmark.settings import seeds
from benchmark.settings.protocol import Protocol
from benchmark.system.errors import ConfigError
from benchmark.system.files import ReadOnly, discard, exclusive, explain
from benchmark.system.printable import duration
from benchmark.system.progress import bar, say
from envs.description import describe
from envs.errors import UserError
from envs.pool import EnvConfig, Pool
from envs.spec import ObservationRequest
from envs.versions import simulator_facts

WORTH_A_FORECAST = 100
"""Demonstrations."""
PROPRIO = ObservationRequest(fields=("proprio",))


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
            whole = demos.sensors is None and not isinstance(demos.arrays["states"], StatesOnDisk)
            return demos if whole else load(path)
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
    known = {index: episode for index, file in files.items() if (episode := known_of(file, stored is None))}
    wanted = protocol.demos

    def good_enough(index: int) -> bool:
        return known[index].successes >= protocol.min_success_steps and not known[index].failed

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
                    last = [known[one].steps for one in range(index - failures + 1, index + 1)]
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
                        keep_episode(file, episode | ({"fingerprint": np.array(drawn_by)} if stored else {}))
                        known[missing[job]] = Known.of(episode)
                        now = len(accepted())
                        advance(now - shown)
                        shown = now
    chosen = accepted()
    kept = [partial / f"{index:05d}.npz" for index in chosen]
    episodes = Episodes(tuple(known[index].steps for index in chosen))
    return Demos(
        env=env,
        env_version=version,
        suite=suite,
        task=task,
        train=protocol.train_demos,
        seeds=tuple(seeds.derive(suite, task, "demo", index) for index in chosen),
        attempts=chosen[-1] + 1,
        arrays=arrays_of(kept, episodes, states=stored is None),
        episodes=episodes,
        sensors=sensors_of(stored, kept) if stored else None,
    )


def forecast(
    path: Path, suite: str, env: str, task: str, protocol: Protocol, workers: int, python: str | None = None
) -> str | None:
    """What collecting will take, by its first attempt, which is kept: a sentence; None where there is little to do.

    Of a simulator whose states are stored; the arguments are those of `collect`.
    """
    partial = _partial(path)
    wanted = protocol.demos - len(list(partial.glob("*.npz")))
    if path.exists() or wanted < WORTH_A_FORECAST or stored_request(env, PROPRIO, python) is not None:
        return None
    file = partial / f"{0:05d}.npz"
    with Pool(EnvConfig(env, task, PROPRIO, python), 1) as pool:
        list(pool.map("fingerprint", [()]))  # it has started
        began = time.perf_counter()
        job = seeds.derive(suite, task, "demo", 0), protocol.horizon, protocol.stop_after_success
        ((_, episode),) = pool.map("expert_episode", [job])
        seconds = time.perf_counter() - began
    keep_episode(file, episode)
    own, packed = file.stat().st_size, io.BytesIO()
    np.savez_compressed(packed, **{name: episode[name] for name in ARRAYS})
    at_once = min(workers, os.cpu_count() or 1)
    return (
        f"{task}: {wanted:,} demonstrations to collect, some {duration(wanted * seconds / at_once)} on {at_once} cores "
        f"({seconds:.1f} s and {len(episode['actions'])} steps for the first), {wanted * own / 1e9:.2f} GB while it is "
        f"going on, then {wanted * packed.tell() / 1e9:.2f} GB in {path}; images and clouds are rendered when a "
        "method first asks for them. It can be stopped and goes on where it was"
    )


def _partial(path: Path) -> Path:
    return path.with_suffix(".partial")
