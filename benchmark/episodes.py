"""Rollouts to what a record keeps of them."""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.report.joint import of_rows
from benchmark.report.record import Evaluation
from benchmark.rollout import Episode
from benchmark.storage import write_atomically


def evaluation_of(epoch: int, episodes: list[Episode], train: float | None, valid: float | None) -> Evaluation:
    rows = [(e.seed, int(e.success), e.steps, e.error) for e in episodes]
    return dataclasses.replace(of_rows(epoch, rows), train_loss=train, valid_loss=valid)


def save_actions(path: Path, episodes: list[Episode]) -> None:
    """The retest's actions beside the record: replaying them needs neither weights nor a GPU."""
    buffer = io.BytesIO()
    arrays: dict[str, Any] = {str(e.seed): e.actions for e in episodes}
    np.savez_compressed(buffer, **arrays)
    write_atomically(path, lambda file: file.write(buffer.getbuffer()))


def append_actions(path: Path, episodes: list[Episode]) -> None:
    """Add episodes to what `save_actions` wrote, if it did."""
    kept: dict[str, Any] = {}
    if path.exists():
        with np.load(path) as stored:
            kept = {name: stored[name] for name in stored.files}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **{**kept, **{str(e.seed): e.actions for e in episodes}})
    write_atomically(path, lambda file: file.write(buffer.getbuffer()))
