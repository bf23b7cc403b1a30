"""Checkpoints of a policy: written whole, and refused where their content is not what was written."""

from __future__ import annotations

import errno
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmark.training.state_digest import state_digest
from envs.errors import UserError
from methods.policy import Policy


class DamagedCheckpoint(UserError, ValueError):
    """A checkpoint whose content is not what was written. It is never trained on or played."""


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Tensors and plain data only: a file that wants to run code is refused by torch.

    Raises `DamagedCheckpoint` if it is none, or if a byte of its content is not what was written.
    """
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        said = state.pop("digest", None)  # checkpoints of earlier versions have none
        whole = said is None or said == state_digest(state)
    except (MemoryError, torch.OutOfMemoryError):
        raise  # the machine's fault, not the file's
    except Exception as error:
        if isinstance(error, OSError) and error.errno != errno.EINVAL:  # as torch says of an archive that was cut
            raise
        raise DamagedCheckpoint(f"{path} is damaged ({first_line(error)})") from error
    if not whole or not {"identity", "epoch", "policy"} <= set(state):
        raise DamagedCheckpoint(f"{path} is damaged (its content is not what its hash says)")
    return state


def first_line(error: Exception) -> str:
    said = str(error).strip().splitlines()
    return said[0][:80] if said else type(error).__name__


def played_weights(state: Mapping[str, Any]) -> dict[str, Tensor]:
    """Of a checkpoint: averaged weights where the recipe keeps an average, else the trained ones."""
    return {**state["policy"], **state.get("averaged", {})}


def played_digest(state: Mapping[str, Any]) -> str:
    return state_digest(played_weights(state))


def load_policy(policy: Policy, path: Path, known_as: Collection[str] = (), epoch: int | None = None) -> str:
    """Load the weights that are to be played, and return their hash.

    known_as, epoch: of which settings and epoch they have to be, if any will not do. Raises `DamagedCheckpoint`.
    """
    state = load_checkpoint(path)
    if (known_as and state["identity"] not in known_as) or epoch not in (None, state["epoch"]):
        raise DamagedCheckpoint(f"{path} is a checkpoint of other settings or of another epoch")
    policy.load_trained_state(played_weights(state))
    return played_digest(state)
