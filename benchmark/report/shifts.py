"""Retests of a record's checkpoint under other cameras or instructions, in one file: `mlp-s0.shifts.json`."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

from benchmark.errors import ConfigError
from benchmark.report.joint import of_this_task
from benchmark.report.record import BadRecord, Evaluation, Record, evaluation_from
from benchmark.storage import write_json

AXES = ("azimuth", "elevation", "distance")
MOST = 200


def shifts_path(record: Path) -> Path:
    return record.with_suffix(".shifts.json")


def actions_path(record: Path, camera: str) -> Path:
    return record.with_suffix(f".{re.sub(r'[^A-Za-z0-9.-]', '_', camera)}.actions.npz")


def read_shifts(path: Path, record: Record) -> dict[str, Evaluation]:
    """Shift -> retest, of this very record; {} if there are none. Raises `BadRecord` if the file is another's.

    record: or one task of it (`by_task`).
    """
    file = shifts_path(path)
    if not file.exists():
        return {}
    identity_hash, epoch, found = load(file)
    if identity_hash not in record.hashes or epoch != record.selected_epoch:
        raise BadRecord(
            f"{file} belongs to another record than {path.name}; remove it, and the same command plays them again"
        )
    return {name: of_this_task(evaluation, record) for name, evaluation in found.items()}


def load(file: Path) -> tuple[str, int, dict[str, Evaluation]]:
    """Of which record and epoch the retests are, and they by camera. Raises `BadRecord`."""
    try:
        data = json.loads(file.read_text())
        found = {camera: evaluation_from(kept) for camera, kept in data["cameras"].items()}
        return data["identity_hash"], data["epoch"], found
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadRecord(f"{file} holds no shifts ({type(error).__name__}: {error})") from error


def write_shifts(path: Path, identity_hash: str, epoch: int, found: dict[str, Evaluation]) -> None:
    data: dict[str, Any] = {
        "identity_hash": identity_hash, "epoch": epoch,
        "cameras": {camera: dataclasses.asdict(evaluation) for camera, evaluation in found.items()},
    }  # fmt: skip
    write_json(shifts_path(path), data)


def shifted_cameras(text: str, camera: str) -> list[str]:
    """`azimuth=-40:40:10,distance=0.8:1.2:0.2` to cameras, one axis moved at a time, ends included.

    What is not moved at all is `camera` itself. Raises `ConfigError`.
    """
    found: list[str] = []
    for part in text.split(","):
        axis, _, values = part.strip().partition("=")
        if axis not in AXES:
            raise ConfigError(f"--shift {part}: give azimuth, elevation or distance, such as azimuth=-40:40:10")
        try:
            numbers = [float(value) for value in values.split(":")]
        except ValueError:
            raise ConfigError(f"--shift {part}: {values or 'nothing'} is no number and no FIRST:LAST:STEP") from None
        for value in _range(part, numbers):
            still = value == (1.0 if axis == "distance" else 0.0)
            found.append(camera if still else f"{camera}@{axis}={value:g}")
    return list(dict.fromkeys(found))


def _range(part: str, numbers: list[float]) -> list[float]:
    if len(numbers) == 1:
        return numbers
    if len(numbers) != 3 or numbers[2] <= 0 or numbers[1] < numbers[0]:
        raise ConfigError(f"--shift {part}: a range is FIRST:LAST:STEP with a positive step, such as -40:40:10")
    first, last, step = numbers
    count = int((last - first) / step + 1e-9) + 1
    if count > MOST:
        raise ConfigError(f"--shift {part} is {count} cameras of a retest each; {MOST} are allowed")
    return [round(first + step * number, 6) for number in range(count)]
