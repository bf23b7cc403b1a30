"""Episodes played after a record was written, to decide a comparison: `mlp-s0.further.json` beside it."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

from benchmark.report.joint import of_this_task
from benchmark.report.record import BadRecord, Evaluation, Record, evaluation_from
from benchmark.storage import write_json


def further_path(record: Path) -> Path:
    return record.with_suffix(".further.json")


def further_actions(record: Path) -> Path:
    return record.with_suffix(".further.actions.npz")


def read_further(path: Path, record: Record) -> Evaluation | None:
    """What was played of this very record's checkpoint after its retest. Raises `BadRecord` if it is another's."""
    file = further_path(path)
    if not file.exists():
        return None
    try:
        data = json.loads(file.read_text())
        found = evaluation_from(data["evaluation"])
        same = data["identity_hash"] in record.hashes and found.epoch == record.selected_epoch
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadRecord(f"{file} holds no further episodes ({type(error).__name__}: {error})") from error
    if not same:
        raise BadRecord(f"{file} belongs to another record than {path.name}; remove it")
    return of_this_task(found, record)


def write_further(path: Path, record: Record, evaluation: Evaluation) -> None:
    write_json(
        further_path(path), {"identity_hash": record.identity_hash, "evaluation": dataclasses.asdict(evaluation)}
    )
