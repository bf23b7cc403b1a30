"""Half-finished pre-training on disk: the newest state and the one before, each with a digest of its content.

A disk that damages the newest costs the minutes since the one before, not the pre-training.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from benchmark.data.sample_inputs import DISK
from benchmark.system.files import discard, explain, write_atomically
from benchmark.system.progress import say
from benchmark.training.state_digest import state_digest

NEWEST, BEFORE = "resume.pt", "resume-before.pt"
STATES = (NEWEST, BEFORE)
KEYS = {"identity", "step", "model", "optimizer", "facts"}


class DamagedCheckpoint(ValueError):
    """A checkpoint that cannot be read, or whose content is not what was written. It is never trained on."""


def write_state(path: Path, state: Mapping[str, Any]) -> None:
    """Write tensors and plain data with their digest."""
    import torch

    whole = {**state, "digest": state_digest(dict(state))}
    write_atomically(path, lambda file: torch.save(whole, file))


def read_state(path: Path) -> dict[str, Any]:
    """What `write_state` wrote. Raises `DamagedCheckpoint`.

    A state of a version that wrote no digest is taken, which is said: it may be days of somebody's training.
    """
    if not path.is_file():
        raise DamagedCheckpoint(f"{path} is no file")
    import torch

    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # a garbled archive raises whatever its bytes happen to mean
        # torch looks for the end of a cut archive before its beginning, which is an invalid argument
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL, *DISK):
            raise
        raise DamagedCheckpoint(f"{path} is damaged ({type(error).__name__})") from error
    if not isinstance(state, dict) or set(state) - {"digest"} != KEYS:
        raise DamagedCheckpoint(f"{path} is damaged (it is no state of a pre-training)")
    digest = state.pop("digest", None)
    if digest is None:
        say(f"{path} was written by an earlier version, without a digest: taken as it is")
    elif digest != _digest(state):
        raise DamagedCheckpoint(f"{path} is damaged (its content is not what its digest says)")
    return state


def save_newest(folder: Path, save: Callable[[Path], None]) -> None:
    """`save(path)` the newest state; what was the newest is the one before."""
    with explain(folder):
        if (folder / NEWEST).exists():
            (folder / NEWEST).replace(folder / BEFORE)
    save(folder / NEWEST)


def restore_newest(
    folder: Path, restore: Callable[[Path], dict[str, Any]]
) -> tuple[dict[str, Any] | None, list[tuple[Path, str]]]:
    """What `restore(path)` gives of the newest state that is whole, None without any; and what is damaged, and how."""
    bad: list[tuple[Path, str]] = []
    for file in (folder / name for name in STATES):
        if file.exists():
            try:
                return restore(file), bad
            except DamagedCheckpoint as error:
                bad.append((file, str(error)))
    return None, bad


def drop(bad: list[tuple[Path, str]], step: int) -> None:
    """Say what is damaged and remove it, so that it is never the one before. step: where training goes on."""
    for file, reason in bad:
        say(f"{reason}: dropped; pre-training goes on from step {step}")
        discard(file)


def discard_states(folder: Path) -> None:
    for name in STATES:
        discard(folder / name)


def _digest(state: dict[str, Any]) -> str | None:
    try:
        return state_digest(state)
    except TypeError:
        return None
