"""The file of a task's demonstrations: HDF5 in robomimic's layout, so that others' tools open it.

`data/demo_i/{states,actions,rewards,dones,obs/proprio}`, `mask/{train,valid}`, attributes `total`, `env_args`,
`num_samples`. Where a simulator restores no state, there are no `states`, and `obs` has every field that was asked for.
"""

from __future__ import annotations

import errno
import functools
import io
import json
import os
from pathlib import Path
from typing import Any, BinaryIO

import h5py
import numpy as np

from benchmark.data import states_on_disk
from benchmark.data.demos import ARRAYS, FORMAT, DamagedDemos, Demos, Sensors, digest_of
from benchmark.data.episodes import Episodes
from benchmark.data.states_on_disk import StatesOnDisk
from benchmark.settings import seeds
from benchmark.system.files import ReadOnly, write_atomically
from envs.description import describe

PACKED: dict[str, Any] = {"compression": "gzip", "compression_opts": 4, "shuffle": True}


def save(demos: Demos, path: Path, python: str | None = None) -> None:
    """Write the file atomically. python: the simulator's interpreter, None for this one."""
    if demos.sensors is not None or isinstance(demos.arrays.get("states"), StatesOnDisk):  # larger than the memory
        write_atomically(path, lambda target: _fill(target, demos, python))
        return
    buffer = io.BytesIO()
    _fill(buffer, demos, python)
    write_atomically(path, lambda target: target.write(buffer.getbuffer()))


def _fill(target: BinaryIO, demos: Demos, python: str | None) -> None:
    cls = describe(demos.env, python)
    with h5py.File(target, "w") as file:
        data = file.create_group("data")
        env_args = {"env_name": demos.task, "env_version": demos.env_version, "type": demos.env, "env_kwargs": {}}
        attributes = {
            "format": FORMAT,
            "env": demos.env,
            "env_version": demos.env_version,
            "suite": demos.suite,
            "task": demos.task,
            "train": demos.train,
            "attempts": demos.attempts,
            "content_hash": demos.content_hash,
            "total": demos.episodes.rows,
            "proprio_names": json.dumps(cls.proprio_names),
            "action_names": json.dumps(cls.action_spec.names),
            "env_args": json.dumps(env_args),
        }
        data.attrs.update(attributes)
        if demos.sensors is not None:
            data.attrs.update({"request": demos.sensors.request, "fingerprint": demos.sensors.fingerprint})
        names = []
        for index, (seed, rows) in enumerate(zip(demos.seeds, demos.episodes.spans(), strict=True)):
            group = data.create_group(f"demo_{index}")
            names.append(f"demo_{index}")
            group.attrs["num_samples"] = demos.episodes.lengths[index]
            group.attrs["seed"] = seed
            for name in ("states", "actions", "rewards", "success"):
                if name in demos.arrays:
                    group.create_dataset(name, data=demos.arrays[name][rows], **PACKED)
            dones = np.zeros(demos.episodes.lengths[index], np.uint8)
            dones[-1] = 1
            group.create_dataset("dones", data=dones)
            group.create_dataset("obs/proprio", data=demos.arrays["proprio"][rows], **PACKED)
            if demos.sensors is not None:
                group.attrs["sensors"] = demos.sensors.digests[index]
                for name, array in demos.sensors.read(index).items():
                    if name != "proprio":
                        group.create_dataset(f"obs/{name}", data=array, **PACKED)
        file.create_dataset("mask/train", data=np.array(names[: demos.train], "S"))
        file.create_dataset("mask/valid", data=np.array(names[demos.train :], "S"))


def load(path: Path) -> Demos:
    """Read and verify. Raises `DamagedDemos` naming the file if a byte of the content is not what was recorded.

    Raises FileNotFoundError, and `ReadOnly` for a file that is not ours to read.
    """
    try:
        with h5py.File(path, "r", locking=False) as file:
            data = file["data"]
            attributes = dict(data.attrs)
            groups = [data[f"demo_{index}"] for index in range(len(data))]
            places = {name: "obs/proprio" if name == "proprio" else name for name in ARRAYS}
            sensors = None
            if "request" in attributes:
                del places["states"]
                sensors = _sensors(path, attributes, groups)
            lengths = tuple(len(group["actions"]) for group in groups)
            pairs = list(zip(groups, lengths, strict=True))
            if any(len(group[place]) != length for group, length in pairs for place in places.values()):
                raise ValueError("a demonstration's arrays are not of one length")
            arrays: dict[str, Any] = {
                name: np.concatenate([group[at][()] for group in groups])
                for name, at in places.items()
                if name != "states" or sum(group[at].nbytes for group in groups) <= states_on_disk.IN_MEMORY
            }
            if "states" in places and "states" not in arrays:
                arrays["states"] = _states(path, groups, Episodes(lengths))
            demos = Demos(
                env=attributes["env"],
                env_version=attributes["env_version"],
                suite=attributes["suite"],
                task=attributes["task"],
                train=int(attributes["train"]),
                attempts=int(attributes["attempts"]),
                seeds=tuple(int(group.attrs["seed"]) for group in groups),
                arrays={name: arrays[name] for name in places},
                episodes=Episodes(lengths),
                sensors=sensors,
            )
    except FileNotFoundError:
        raise
    except PermissionError as error:
        reason = os.strerror(errno.EACCES)  # HDF5's own words are a paragraph
        raise ReadOnly(f"{path} cannot be read ({reason}); choose another with --data", path, reason) from error
    except Exception as error:  # a garbled file raises whatever its bytes happen to mean
        raise DamagedDemos(f"{path} is damaged ({type(error).__name__}: {error})") from error
    last = seeds.derive(demos.suite, demos.task, "demo", demos.attempts - 1)  # the hash does not cover `attempts`
    if demos.content_hash != attributes.get("content_hash") or demos.seeds[-1:] != (last,):
        raise DamagedDemos(f"{path} is damaged (its content is not what its hash says)")
    return demos


def _states(path: Path, groups: list[Any], episodes: Episodes) -> StatesOnDisk:
    """Each demonstration's states are read once, one after the other, to know later that they are still the same."""
    width = groups[0]["states"].shape[1]
    if any(group["states"].shape[1:] != (width,) or group["states"].dtype != np.float64 for group in groups):
        raise ValueError("states are not float64 of one width")
    digests = [states_on_disk.digest(group["states"][()]) for group in groups]
    changed = DamagedDemos(f"{path} was changed while it was read: begin again")
    return StatesOnDisk(
        episodes, width, states_on_disk.checked(functools.partial(_read_states, path), digests, changed)
    )


def _read_states(path: Path, index: int) -> np.ndarray:
    with h5py.File(path, "r", locking=False) as file:
        return np.asarray(file[f"data/demo_{index}/states"][()])


def _sensors(path: Path, attributes: dict[str, Any], groups: list[Any]) -> Sensors:
    """Each demonstration's fields are read once, one after the other, to see that they are what was recorded."""
    found = tuple(digest_of({name: stored[()] for name, stored in group["obs"].items()}) for group in groups)
    if any(digest != group.attrs["sensors"] for digest, group in zip(found, groups, strict=True)):
        raise ValueError("a demonstration's observations are not what was recorded")
    return Sensors(attributes["request"], attributes["fingerprint"], found, functools.partial(_read, path))


def _read(path: Path, index: int) -> dict[str, np.ndarray]:
    with h5py.File(path, "r", locking=False) as file:
        return {name: stored[()] for name, stored in file[f"data/demo_{index}/obs"].items()}
