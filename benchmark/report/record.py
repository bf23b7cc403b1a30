"""The record: one JSON file for each finished cell. Its path is its identity."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmark.report.migrate import upgrade
from benchmark.storage import write_json

SCHEMA = 2


class BadRecord(ValueError):
    """A file that is no record of a schema this version reads."""


@dataclass(frozen=True)
class Tally:
    """Counts of one set of rollouts. n leaves out episodes that could not be run (errors)."""

    k: int
    n: int
    errors: int

    @property
    def rate(self) -> float:
        return self.k / self.n if self.n else float("nan")


Row = tuple[int, int, int, str | None]
"""[seed, success 0/1, steps, error or null] of an episode."""


@dataclass(frozen=True)
class Evaluation:
    """Rollouts of one checkpoint, in the order of the seeds."""

    epoch: int
    tally: Tally
    episodes: tuple[Row, ...]
    train_loss: float | None = None
    valid_loss: float | None = None


@dataclass(frozen=True)
class Record:
    """All that a table, an audit or a doubter needs to know about one cell.

    identity: the settings a number depends on; identity_hash names them. Which records may be averaged is decided in
        `benchmark.report.conditions`. weights: `files` (name -> sha256) and `untrained` (random weights where the card
        names some). timings (seconds by phase) and provenance are facts about the run, not part of the result.
    env: the simulator, as the suite names it: a registered name or `path/to/file.py:Class`.
    migrated: of a record that an earlier version wrote, its `schema` and `identity_hash` there, and `unknown`: what it
        cannot say, in words. Empty for a record as this version writes it.
    reference: it is one of this project's own records, shown beside a user's. Said by who reads it, never in a file.
    """

    schema: int
    suite: str
    task: str
    method: str
    head: str
    seed: int
    protocol: str
    identity: dict[str, Any]
    identity_hash: str
    card: dict[str, Any]
    success_rule: str
    horizon: int
    demo_hash: str
    demos: dict[str, int]
    training: dict[str, Any]
    evaluations: tuple[Evaluation, ...]
    selected_epoch: int
    retest: Evaluation
    frozen: dict[str, Any]
    weights: dict[str, Any]
    fingerprint: str
    provenance: dict[str, Any]
    timings: dict[str, float]
    env: str
    migrated: dict[str, Any] = field(default_factory=dict)
    reference: bool = False

    @property
    def hashes(self) -> set[str]:
        """Under which hashes this record is known: its own, and the one it had in an earlier schema."""
        return {self.identity_hash, self.migrated.get("identity_hash", self.identity_hash)}

    @property
    def best(self) -> Tally:
        """The paper's number: the maximum over evaluations. It over-states; tables print it with a star."""
        return next(e.tally for e in self.evaluations if e.epoch == self.selected_epoch)

    @property
    def last(self) -> Tally:
        return self.evaluations[-1].tally

    @property
    def errors(self) -> int:
        return self.retest.tally.errors + sum(e.tally.errors for e in self.evaluations)


def record_path(root: Path, protocol: str, suite: str, task: str, method: str, head: str, seed: int) -> Path:
    return root / protocol / suite / task / method / f"{head}-s{seed}.json"


def write(record: Record, path: Path) -> None:
    data = dataclasses.asdict(record)
    del data["reference"]
    write_json(path, data)


def read(path: Path) -> Record:
    """Raises `BadRecord` naming the file and what is wrong with it."""
    try:
        data = json.loads(path.read_text())
        if data["schema"] == 1:
            data = upgrade(data)
        if data["schema"] != SCHEMA:
            raise BadRecord(f"{path} has schema {data['schema']}; this version reads 1 and {SCHEMA}")
        data["evaluations"] = tuple(evaluation_from(e) for e in data["evaluations"])
        data["retest"] = evaluation_from(data["retest"])
        return Record(**data)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        if isinstance(error, BadRecord):
            raise
        raise BadRecord(f"{path} is no record ({type(error).__name__}: {error})") from error


def read_all(roots: list[Path]) -> Iterator[tuple[Path, Record | BadRecord]]:
    """Every record under the roots, sorted by path. Damaged ones come as the error that says why.

    A file that is under several roots, or under one that is named twice, comes once.
    """
    seen: set[Path] = set()
    for root in roots:
        for path in sorted(root.rglob("*.json")):
            if path.name.endswith((".shifts.json", ".further.json")):  # beside a record: report/shifts.py, further.py
                continue
            if (file := path.resolve()) in seen:
                continue
            seen.add(file)
            try:
                yield path, read(path)
            except BadRecord as error:
                yield path, error


def each_once(placed: Iterable[tuple[Path, Record]]) -> tuple[list[tuple[Path, Record]], list[str]]:
    """Each experiment once, and a note for every other file of one: copies would make an interval narrower.

    Two files of one identity are one experiment, also where they disagree (another machine rounds otherwise): the
    first counts.
    """
    found: dict[str, tuple[Path, Record]] = {}
    notes, copies = [], []
    for path, record in placed:
        first = found.setdefault(record.identity_hash, (path, record))
        if first[0] != path:
            same = (record.evaluations, record.retest) == (first[1].evaluations, first[1].retest)
            if same:
                copies.append(path)
            else:
                notes.append(
                    f"{path} is the same experiment, with other outcomes, as {first[0]}: it is counted once, as there"
                )
    if copies:
        more = f" and {len(copies) - 1} more are copies" if len(copies) > 1 else " is a copy"
        notes.append(f"{copies[0]}{more} of records that are here already: each experiment is counted once")
    return list(found.values()), notes


def evaluation_from(data: dict[str, Any]) -> Evaluation:
    """From plain data, as `dataclasses.asdict` made it."""
    return Evaluation(
        epoch=data["epoch"],
        tally=Tally(**data["tally"]),
        episodes=tuple(tuple(e) for e in data["episodes"]),
        train_loss=data["train_loss"],
        valid_loss=data["valid_loss"],
    )
