"""Records as one tidy pandas frame: a row is one set of episodes of one policy on one task."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from benchmark.records.flat_rows import rows
from benchmark.records.gather import DEFAULT_OUT, gather
from benchmark.records.record import Record
from benchmark.system.errors import ConfigError

COLUMNS: dict[str, tuple[str, str]] = {
    "suite": ("str", "suite"),
    "protocol": ("str", "protocol, with what was overridden: `clar+epochs=2`"),
    "task": ("str", "task that was played; a joint policy has rows for each of its tasks"),
    "method": ("str", "method, with its options and weights where they are not as published"),
    "head": ("str", "head, with what was overridden"),
    "seed": ("int64", "training seed"),
    "kind": (
        "str",
        "`evaluation` in training, `retest` on fresh episodes, `shift` a retest under another camera or "
        "instruction, `further` episodes played after the retest",
    ),
    "shift": ("str", "of a `shift`: the camera, `instructions=...`, or `seeds=training`; empty in all other rows"),
    "epoch": ("int64", "epoch of the checkpoint that played"),
    "selected": ("bool", "it is the selected checkpoint, by its evaluations; of joint policies by all tasks together"),
    "last": ("bool", "it is the last checkpoint"),
    "k": ("int64", "successes"),
    "n": ("int64", "episodes that could be run"),
    "errors": ("int64", "episodes that could not be run; they count as neither success nor failure"),
    "failed_actions": ("int64", "failures, among the n, of which the simulator could not carry out an action"),
    "rate": ("float64", "k / n in 0..1; missing where n is 0"),
    "train_loss": ("float64", "mean loss of the epoch, of all tasks of the policy; `evaluation` only"),
    "valid_loss": ("float64", "loss on the held-out demonstrations; `evaluation` only, missing where there are none"),
    "tasks_of_policy": ("str", "tasks that the policy was trained on: `task`, or several as `a+b`"),
    "reference": ("bool", "a record of this project's own, taken in by `with_reference`"),
    "conditions": (
        "str",
        "equal for cells that may be averaged, as seeds or as tasks of one row: all else that could "
        "change the number is equal",
    ),
    "reported_as": ("str", "row of the papers' tables that the method reproduces; missing for others"),
    "method_kind": ("str", "the card's kind: `2d`, `3d` or `control`"),
    "training": ("str", "the card's training: `end-to-end`, `partial` or `frozen`"),
    "untrained": ("bool", "random weights where the method has pre-trained ones"),
    "random_teacher": ("bool", "pre-trained with a teacher of random weights"),
    "optimizer_steps": ("int64", "optimiser steps of the whole training"),
    "parameters_encoder": ("int64", "parameters of the encoder"),
    "parameters_trained": ("int64", "parameters that were trained, the head's among them"),
    "seconds": ("float64", "wall time of the cell, shared equally by the tasks of a joint policy"),
    "success_rule": ("str", "`any-step` or `last-step`"),
    "horizon": ("int64", "steps of an episode at most"),
    "demo_hash": ("str", "sha256 of the demonstrations"),
    "identity_hash": ("str", "name of the experiment: all settings that the number depends on"),
    "fingerprint": ("str", "simulator and renderer"),
    "commit": ("str", "git commit of the code; missing where it is not known"),
    "file": ("str", "the record's path"),
}
"""Column -> dtype and meaning, in their order. Missing text and missing numbers are NaN."""


class SkippedRecord(UserWarning):
    """A record, or a file beside one, that is not in a frame, and why."""


def load_records(*folders: str | os.PathLike[str], with_reference: bool = False) -> pd.DataFrame:
    """The records under `folders` as a frame with the columns `COLUMNS`.

    folders: of records, or what `out` and `--out` named, which has them in `records/`. Default: `runs`.
    with_reference: this project's own measured records as well, with `reference` true.

    Each experiment is there once, joint policies task by task. What cannot be read is a `SkippedRecord` warning and a
    sentence in `frame.attrs["skipped"]`. Raises `ConfigError` for a folder that is not there.
    """
    roots = [_root(Path(folder)) for folder in folders]
    placed, notes = gather(roots or None, DEFAULT_OUT, with_reference)
    if not placed and not folders:
        notes.append(f"nothing, for there are no records under {DEFAULT_OUT / 'records'}")
    made = frame_of(placed, notes)
    for note in made.attrs["skipped"]:
        warnings.warn(f"skipped: {note}", SkippedRecord, stacklevel=2)
    return made


def frame_of(placed: Iterable[tuple[Path, Record]], notes: Sequence[str] = ()) -> pd.DataFrame:
    """Of records task by task (`benchmark.records.joint_tasks.by_task`), each with its path.

    notes: what was left out already; with what is wrong with files beside the records they are `attrs["skipped"]`.
    """
    found: list[dict[str, Any]] = []
    skipped = list(notes)
    for path, record in placed:
        own, wrong = rows(path, record)
        skipped += wrong
        large = next((name for row in own for name, value in row.items() if _too_large(value)), None)
        if large is None:
            found += own
        else:
            skipped.append(f"{path}: its {large} is too large for a column of 64-bit numbers")
    made = pd.DataFrame(found, columns=list(COLUMNS)).astype({name: dtype for name, (dtype, _) in COLUMNS.items()})
    made.attrs["skipped"] = list(dict.fromkeys(skipped))  # of a joint policy each task would say it again
    return made


def _too_large(value: Any) -> bool:
    return isinstance(value, int) and abs(value) >= 2**63


def _root(folder: Path) -> Path:
    if not folder.is_dir():
        raise ConfigError(f"{folder}: no such folder of records")
    return folder / "records" if (folder / "records").is_dir() else folder
