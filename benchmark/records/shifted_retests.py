"""Retests of a record's checkpoint under other cameras or instructions, in one file: `mlp-s0.shifts.json`."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmark.records.consistency import check_part
from benchmark.records.hash_chain import next_link
from benchmark.records.joint_tasks import of_this_task
from benchmark.records.read import BadRecord, evaluation_from
from benchmark.records.record import Evaluation, Record
from benchmark.records.schema import EVALUATION, OddShape, fields, mapping, positive, text
from benchmark.settings.seeds import TRAINED_ON, may_be_trained_on, retest_seeds
from benchmark.system.checked_json import NotPlain, read_json
from benchmark.system.errors import ConfigError
from benchmark.system.files import write_json

AXES = ("azimuth", "elevation", "distance")
MOST = 200
SHIFTS = fields({"identity_hash": text, "epoch": positive, "cameras": mapping(EVALUATION)}, more=False)


def shifts_path(record: Path) -> Path:
    return record.with_suffix(".shifts.json")


def shift_actions(record: Path, camera: str) -> Path:
    return record.with_suffix(f".{re.sub(r'[^A-Za-z0-9.-]', '_', camera)}.actions.npz")


def read_shifts(path: Path, record: Record) -> dict[str, Evaluation]:
    """Shift -> retest, of this very record; {} if there are none. Raises `BadRecord` if the file is another's.

    record: or one task of it (`by_task`).
    """
    file = shifts_path(path)
    if not os.path.lexists(file):
        return {}
    identity_hash, epoch, found = load(file)
    if identity_hash not in record.hashes or epoch != record.selected_epoch:
        raise BadRecord(
            file,
            f"it belongs to another record than {path.name}; remove it, and the same command plays them again",
        )
    for shift, evaluation in found.items():
        wrong = tuple(_odd(shift, evaluation, record))
        if wrong:
            raise BadRecord(file, f"it contradicts itself: {wrong[0]}", wrong)
    return {name: of_this_task(evaluation, record) for name, evaluation in found.items()}


def _odd(shift: str, evaluation: Evaluation, record: Record) -> Iterator[str]:
    what = f"the retest under {shift}"
    each, task = record.identity["protocol"]["retest_rollouts"], record.identity["task"]
    wanted = retest_seeds(record.suite, task, each)
    if shift == TRAINED_ON:
        own = [row[0] for row in evaluation.episodes]
        each = min(each, record.identity["protocol"]["train_demos"])
        wanted = own if may_be_trained_on(record.suite, task, record.demos["attempts"], own, each) else []
    yield from check_part(what, evaluation, wanted, record)
    if record.retest.link is not None and evaluation.checkpoint != record.retest.checkpoint:
        yield f"{what} was not played by the weights of the retest"
    if record.retest.link is not None and evaluation.link != next_link(record.retest.link, evaluation, shift):
        yield f"{what} is not what its chained hash says: it, or something before it, was changed afterwards"


def load(file: Path) -> tuple[str, int, dict[str, Evaluation]]:
    """Of which record and epoch the retests are, and they by camera. Raises `BadRecord`."""
    try:
        data = read_json(file)
        SHIFTS(data, "")
    except (NotPlain, OddShape) as error:
        raise BadRecord(file, f"it holds no shifts: {error}") from error
    found = {camera: evaluation_from(kept) for camera, kept in data["cameras"].items()}
    return data["identity_hash"], data["epoch"], found


def write_shifts(path: Path, identity_hash: str, epoch: int, found: dict[str, Evaluation]) -> None:
    data: dict[str, Any] = {
        "identity_hash": identity_hash,
        "epoch": epoch,
        "cameras": {camera: evaluation.plain() for camera, evaluation in found.items()},
    }
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
        if not all(math.isfinite(number) for number in numbers):
            raise ConfigError(f"--shift {part}: give finite numbers, such as azimuth=-40:40:10")
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
    steps = (last - first) / step + 1e-9
    if steps >= MOST:
        raise ConfigError(f"--shift {part} is {steps + 1:.0f} cameras of a retest each; {MOST} are allowed")
    count = int(steps) + 1
    return [round(first + step * number, 6) for number in range(count)]
