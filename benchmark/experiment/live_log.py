"""Curves of a cell while it is computed, for TensorBoard or Weights & Biases (`--log`). No number depends on them.

A log that fails (a full disk, no network) is given up with a line on standard error, and the cell goes on: the record
holds everything that the curves show.
"""

from __future__ import annotations

import importlib.util
import os
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmark.system.errors import ConfigError
from benchmark.system.progress import say

PROJECT = "repbench"
"""Of Weights & Biases, where $WANDB_PROJECT names no other."""


def check_log(kind: str) -> None:
    """Raises `ConfigError` where a log cannot be written here, before any work is done."""
    if kind == "wandb" and importlib.util.find_spec("wandb") is None:
        raise ConfigError("--log wandb needs the package wandb: pip install 'repbench[wandb]'")


class LiveLog:
    """kind: `none`, `tensorboard` (event files in `folder`/tensorboard) or `wandb` (a run of its own for each cell,
    which goes on after a stop; $WANDB_MODE=offline keeps it in `folder`/wandb).

    folder: of the cell's work. label: what the run is called. config: its settings. begin: the epoch or step that the
    training goes on from; what an earlier start wrote beyond it is taken back.
    """

    def __init__(self, kind: str, folder: Path, label: str, config: Mapping[str, Any], begin: int) -> None:
        self._kind, self._to = kind, None
        if kind == "none":
            return
        check_log(kind)
        try:
            self._to = _tensorboard(folder, begin) if kind == "tensorboard" else _wandb(folder, label, config)
        except Exception as error:  # of a library that talks to a network
            first = (str(error).strip() or "no reason given").splitlines()[0]
            mend = "; `wandb login`, or WANDB_MODE=offline" if kind == "wandb" else ""
            raise ConfigError(f"--log {kind} cannot begin ({type(error).__name__}: {first}){mend}") from error

    def scalars(self, number: int, values: Mapping[str, float]) -> None:
        """number: the epoch, or the step under a protocol of steps."""
        if self._to is None or not values:
            return
        try:
            if self._kind == "wandb":
                self._to.log(dict(values), step=number)
            else:
                for name, value in values.items():
                    self._to.add_scalar(name, value, number)
                self._to.flush()
        except Exception as error:  # as above: it must not cost the training
            say(f"--log {self._kind} stopped ({type(error).__name__}: {error}); the cell goes on without it")
            self._to = None

    def close(self) -> None:
        if self._to is not None:
            self._to.finish() if self._kind == "wandb" else self._to.close()
            self._to = None


def _tensorboard(folder: Path, begin: int) -> Any:
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(folder / "tensorboard"), purge_step=begin + 1)


def _wandb(folder: Path, label: str, config: Mapping[str, Any]) -> Any:
    import wandb

    known = folder / "wandb-id"  # goes with the work that it logs, so a cell that is begun again is another run
    if not known.exists():
        known.write_text(uuid.uuid4().hex[:12])
    project = os.environ.get("WANDB_PROJECT") or PROJECT
    return wandb.init(
        project=project, id=known.read_text(), name=label, config=dict(config), dir=str(folder), resume="allow"
    )
