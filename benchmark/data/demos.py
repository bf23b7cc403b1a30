"""Demonstrations: the scripted expert's episodes, stored as simulator states, one HDF5 file for a task.

The layout is robomimic's (`data/demo_i/{states,actions,rewards,dones,obs/proprio}`, `mask/{train,valid}`, attributes
`total`, `env_args`, `num_samples`), so that others' tools open it. What a method sees in a demonstration is rendered
from the states later, so a new camera or modality needs no new demonstrations.
"""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from benchmark import seeds
from benchmark.progress import bar, say
from benchmark.protocol import Protocol
from benchmark.storage import discard, exclusive, write_atomically
from envs.pool import EnvConfig, Pool
from envs.registry import env_class
from envs.spec import ObservationRequest
from envs.versions import simulator_facts

FORMAT = 1
ARRAYS = ("states", "actions", "rewards", "success", "proprio")


class DamagedDemos(ValueError):
    """A demonstration file that is truncated, altered or of another format. It is never trained on."""


class ExpertFails(RuntimeError):
    """The scripted expert failed too often in a row; demonstrations of this task cannot be collected."""


@dataclass(frozen=True)
class Demos:
    """Accepted episodes in the order of their attempts: the first `train` train, the rest validate.

    states (E, T, D) float64, actions (E, T, A) float32 unclipped, rewards (E, T) float32, success (E, T) bool,
    proprio (E, T, S) float32; row t is the moment before action t, success[t] the flag after it. seeds (E,).
    """

    env: str
    env_version: str
    suite: str
    task: str
    train: int
    seeds: tuple[int, ...]
    attempts: int
    arrays: dict[str, np.ndarray]

    @property
    def content_hash(self) -> str:
        """sha256 of what was recorded, independent of how HDF5 packs it."""
        digest = hashlib.sha256(f"{FORMAT}|{self.env_version}|{self.suite}|{self.task}|{self.train}".encode())
        digest.update(np.asarray(self.seeds, np.int64).tobytes())
        for name in ARRAYS:
            array = np.ascontiguousarray(self.arrays[name])
            digest.update(f"{name}|{array.dtype}|{array.shape}".encode())
            digest.update(array.tobytes())
        return digest.hexdigest()


def demo_path(root: Path, suite: str, env: str, task: str, protocol: Protocol, python: str | None = None) -> Path:
    """Where a task's demonstrations are; the name changes with everything that decides what is in them.

    python: the simulator's interpreter, None for this one. Raises `NoSimulator`.
    """
    simulator = {key: value for key, value in simulator_facts(env, python).items() if key != "fpsample"}
    facts = [
        FORMAT, simulator, suite, task, protocol.train_demos, protocol.valid_demos,
        protocol.horizon, protocol.min_success_steps, protocol.max_expert_failures,
    ]  # fmt: skip
    key = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:8]
    return root / "demos" / suite / f"{task}-{key}.hdf5"


def load_or_collect(
    root: Path, suite: str, env: str, task: str, protocol: Protocol, workers: int, python: str | None = None
) -> Demos:
    """The task's demonstrations, collected if they are not there. A damaged file is named and collected again."""
    path = demo_path(root, suite, env, task, protocol, python)
    with exclusive(path.with_suffix(".lock"), f"demonstrations of {task}", wait=True, notify=say):
        if path.exists():
            try:
                return load(path)
            except DamagedDemos as error:
                say(f"{error}; collecting again")
                path.replace(path.with_suffix(".damaged"))
        demos = collect(path, suite, env, task, protocol, workers, python)
        save(demos, path)
        discard(_partial(path))
        return demos


def collect(
    path: Path, suite: str, env: str, task: str, protocol: Protocol, workers: int, python: str | None = None
) -> Demos:
    """Run the expert on the task's demo seeds until enough episodes are accepted.

    An episode is accepted if success was seen in at least `min_success_steps` of its steps. The accepted ones are
    the first in the order of their seeds, so the result does not depend on how many workers there are. Every episode
    is kept beside `path` until the file is written: after a kill the same call goes on where it stopped.
    """
    partial, version = _partial(path), simulator_facts(env, python)["version"]
    known = {int(file.stem): episode for file in partial.glob("*.npz") if (episode := _read_episode(file))}
    wanted = protocol.demos
    request = ObservationRequest(fields=("proprio",))

    def good_enough(index: int) -> bool:
        return bool(known[index]["success"].sum() >= protocol.min_success_steps)

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
                    raise ExpertFails(
                        f"the expert of {task} failed {failures} times in a row (attempts {index - failures + 1} to "
                        f"{index}); see `bench show {suite}` and the simulator's version ({version}). "
                        f"protocol.max_expert_failures={protocol.max_expert_failures} sets the limit"
                    )
            if len(good) == wanted:
                break
        return good

    with bar(f"demonstrations {task}", wanted, len(accepted())) as advance:
        shown = len(accepted())
        if shown < wanted:
            with Pool(EnvConfig(env, task, request, python), min(workers, wanted)) as pool:
                while len(accepted()) < wanted:
                    missing = still_needed()
                    jobs = [(seeds.derive(suite, task, "demo", index), protocol.horizon) for index in missing]
                    for job, episode in pool.map("expert_episode", jobs):
                        known[missing[job]] = episode
                        _keep_episode(partial / f"{missing[job]:05d}.npz", episode)
                        now = len(accepted())
                        advance(now - shown)
                        shown = now
    chosen = accepted()
    return Demos(
        env=env, env_version=version, suite=suite, task=task, train=protocol.train_demos,
        seeds=tuple(seeds.derive(suite, task, "demo", index) for index in chosen),
        attempts=chosen[-1] + 1,
        arrays={name: np.stack([known[index][name] for index in chosen]) for name in ARRAYS},
    )  # fmt: skip


def save(demos: Demos, path: Path) -> None:
    """Write the file atomically, in robomimic's layout."""
    buffer = io.BytesIO()
    cls = env_class(demos.env)
    with h5py.File(buffer, "w") as file:
        data = file.create_group("data")
        actions = demos.arrays["actions"]
        env_args = {"env_name": demos.task, "env_version": demos.env_version, "type": demos.env, "env_kwargs": {}}
        attributes = {
            "format": FORMAT, "env": demos.env, "env_version": demos.env_version, "suite": demos.suite,
            "task": demos.task, "train": demos.train, "attempts": demos.attempts, "content_hash": demos.content_hash,
            "total": actions.shape[0] * actions.shape[1], "proprio_names": json.dumps(cls.proprio_names),
            "action_names": json.dumps(cls.action_spec.names), "env_args": json.dumps(env_args),
        }  # fmt: skip
        data.attrs.update(attributes)
        names = []
        for index, seed in enumerate(demos.seeds):
            group = data.create_group(f"demo_{index}")
            names.append(f"demo_{index}")
            group.attrs["num_samples"] = len(demos.arrays["actions"][index])
            group.attrs["seed"] = seed
            packed = {"compression": "gzip", "compression_opts": 4, "shuffle": True}
            group.create_dataset("states", data=demos.arrays["states"][index], **packed)
            group.create_dataset("actions", data=demos.arrays["actions"][index], **packed)
            group.create_dataset("rewards", data=demos.arrays["rewards"][index], **packed)
            group.create_dataset("success", data=demos.arrays["success"][index], **packed)
            dones = np.zeros(len(demos.arrays["actions"][index]), np.uint8)
            dones[-1] = 1
            group.create_dataset("dones", data=dones)
            group.create_dataset("obs/proprio", data=demos.arrays["proprio"][index], **packed)
        file.create_dataset("mask/train", data=np.array(names[: demos.train], "S"))
        file.create_dataset("mask/valid", data=np.array(names[demos.train :], "S"))
    write_atomically(path, lambda target: target.write(buffer.getbuffer()))


def load(path: Path) -> Demos:
    """Read and verify. Raises `DamagedDemos` naming the file if a byte of the content is not what was recorded."""
    try:
        with h5py.File(path, "r", locking=False) as file:
            data = file["data"]
            attributes = dict(data.attrs)
            groups = [data[f"demo_{index}"] for index in range(len(data))]
            places = {name: "obs/proprio" if name == "proprio" else name for name in ARRAYS}
            demos = Demos(
                env=attributes["env"], env_version=attributes["env_version"], suite=attributes["suite"],
                task=attributes["task"], train=int(attributes["train"]), attempts=int(attributes["attempts"]),
                seeds=tuple(int(group.attrs["seed"]) for group in groups),
                arrays={name: np.stack([group[place][()] for group in groups]) for name, place in places.items()},
            )  # fmt: skip
    except (OSError, KeyError, ValueError, RuntimeError) as error:
        raise DamagedDemos(f"{path} is damaged ({error})") from error
    if demos.content_hash != attributes.get("content_hash"):
        raise DamagedDemos(f"{path} is damaged (its content is not what its hash says)")
    return demos


def _partial(path: Path) -> Path:
    return path.with_suffix(".partial")


def _keep_episode(file: Path, episode: dict[str, np.ndarray]) -> None:
    buffer = io.BytesIO()
    arrays: dict[str, Any] = dict(episode)
    np.savez(buffer, **arrays)
    write_atomically(file, lambda target: target.write(buffer.getbuffer()))


def _read_episode(file: Path) -> dict[str, np.ndarray] | None:
    try:
        with np.load(file) as stored:
            return {name: stored[name] for name in ARRAYS}
    except (OSError, ValueError, KeyError, EOFError):
        discard(file)
        return None
