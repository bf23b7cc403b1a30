"""Records as they are read: believed only as far as they agree with themselves.

A file whose parts contradict each other (`benchmark.records.consistency`) is refused, and whoever asks gets one
sentence that says why.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from benchmark.records.consistency import contradictions, misplaced
from benchmark.records.find_files import record_files
from benchmark.records.migrate import upgrade
from benchmark.records.record import SCHEMA, Evaluation, Record, Tally
from benchmark.records.schema import RECORD, OddShape
from benchmark.records.write import seal_of
from benchmark.system.checked_json import NotPlain, check_plain, read_json
from benchmark.system.printable import one_line
from envs.errors import UserError


class BadRecord(UserError, ValueError):
    """A file that is no record of a schema this version reads, or one that contradicts itself.

    reason: why, as a clause. wrong: what contradicts, one sentence each; empty for what is no record at all.
    """

    def __init__(self, path: Path, reason: str, wrong: tuple[str, ...] = ()) -> None:
        self.path, self.reason, self.wrong = path, one_line(reason), tuple(map(one_line, wrong))
        super().__init__(f"{one_line(str(path))}: {self.reason}")


UNCHECKABLE = "its parts cannot be held against each other"
"""Of a record whose parts have the right types and whose check raised all the same: a fault of the check."""


def read(path: Path) -> Record:
    """Raises `BadRecord` naming the file and what is wrong with it, be it ever so odd."""
    record, wrong, placed = _read(path)
    wrong += misplaced(path, placed)
    if wrong:
        more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
        raise BadRecord(path, f"it contradicts itself: {wrong[0]}{more}", tuple(wrong))
    return record


def wrong_in(path: Path) -> list[str]:
    """What contradicts itself in a record that lies where it was written first. Raises `BadRecord` as `read`."""
    return _read(path)[1]


def _read(path: Path) -> tuple[Record, list[str], dict[str, Any]]:
    """The record, what contradicts itself in it wherever it lies, and its data as they are in the file."""
    try:
        data = read_json(path)
        placed = dict(data) if isinstance(data, dict) else {}
        sealed = placed.get("seal") in (None, "", seal_of(placed))
        if placed.get("schema") == 1:
            data = _upgraded(data)
        if isinstance(data, dict) and data.get("rollouts") is False:
            raise BadRecord(path, "it holds losses of a policy that was never played, and no success rate")
        if not isinstance(data, dict) or data.get("schema") != SCHEMA:
            said = repr(data.get("schema"))[:20] if isinstance(data, dict) else "none"
            raise BadRecord(path, f"it has schema {said}, and this version reads 1 and {SCHEMA}")
        RECORD(data, "")
    except (NotPlain, OddShape) as error:
        raise BadRecord(path, f"it is no record: {error}") from error
    found = {**data, "evaluations": tuple(map(evaluation_from, data["evaluations"]))}
    record = Record(**{**found, "retest": evaluation_from(data["retest"])})
    wrong = [] if sealed else ["its content is not what its seal says: it was changed after it was written"]
    return record, [*wrong, *_contradictions(record)], placed


def _contradictions(record: Record) -> list[str]:
    """No file ends a verb, not even by a case that the checks have overlooked."""
    try:
        return list(contradictions(record))
    except Exception as error:
        return [f"{UNCHECKABLE} ({type(error).__name__}: {error})"]


def _upgraded(data: dict[str, Any]) -> dict[str, Any]:
    """Data of schema 1 as this version's. Raises `NotPlain`: what stands there can be anything."""
    try:
        return check_plain(json.loads(json.dumps(upgrade(data))))
    except Exception as error:
        raise NotPlain(f"it is no record of schema 1 ({type(error).__name__}: {error})") from error


def read_all(roots: list[Path]) -> Iterator[tuple[Path, Record | BadRecord]]:
    """Every record under the roots, sorted by path. What is none comes as the error that says why.

    A file that is under several roots, or under one that is named twice, comes once.
    """
    seen: set[Path] = set()
    for root in roots:
        for path, problem in record_files(root):
            try:
                file = path.resolve()
            except (OSError, RuntimeError):  # a circle of links
                file = path.absolute()
            if file in seen:
                continue
            seen.add(file)
            try:
                yield path, read(path) if problem is None else BadRecord(path, problem)
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
            same = _outcomes(record) == _outcomes(first[1])
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


def _outcomes(record: Record) -> list[Any]:
    return [(e.epoch, e.tally, e.episodes) for e in (*record.evaluations, record.retest)]


def evaluation_from(data: dict[str, Any]) -> Evaluation:
    """From plain data, as `Evaluation.plain` made it."""
    return Evaluation(
        epoch=data["epoch"],
        tally=Tally(**data["tally"]),
        episodes=tuple(tuple(e) for e in data["episodes"]),
        train_loss=data["train_loss"],
        valid_loss=data["valid_loss"],
        **{name: data.get(name) for name in ("checkpoint", "actions", "link")},
        ended=tuple((seed, why) for seed, why in data.get("ended", ())),
    )
