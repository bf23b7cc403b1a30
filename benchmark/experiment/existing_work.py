"""What is there of a cell already, and whether it is of the very same settings and code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmark.experiment.cell import Cell
from benchmark.experiment.method_source import changed_files, first_lines, keep_source, read_source, source_folder
from benchmark.records.read import BadRecord, read
from benchmark.records.record import Record
from benchmark.system.checked_json import NotPlain, read_json
from benchmark.system.difference import difference
from benchmark.system.errors import OtherSettings
from benchmark.system.files import write_json

FILE = "identity.json"
DEMOS = "demos.json"


def its_record(cell: Cell, target: Path) -> Record:
    """The finished record of this very cell. Raises `BadRecord`, or `OtherSettings` if it is of anything else."""
    try:
        record = read(target)
    except BadRecord as error:
        raise BadRecord(target, f"{error.reason}; remove it, or use --overwrite, to compute it again") from error
    now = cell.identity()
    if record.identity == now:
        return record
    if _code_alone(record.identity, now):
        what, lines = _changed(cell, source_folder(target), f"{target} was made")
        raise OtherSettings(
            f"{what}: --overwrite computes it again; --out DIR, or another name on the card, keeps both", lines
        )
    moves = " `bench migrate` moves it to where it belongs." if record.method != cell.method_name else ""
    raise OtherSettings(
        f"{target} is a record of other settings ({difference(record.identity, now)}).{moves} Use --overwrite to "
        "replace it or --out DIR to keep both"
    )


def check_begun(cell: Cell, work: Path) -> None:
    """See that half-finished work in this folder is of these settings and this code, where it says of which it is.

    Raises `OtherSettings`: a checkpoint of other code, trained on, would be a number of neither.
    """
    now, file = cell.identity(), work / FILE
    if not file.exists():
        return
    try:
        there: dict[str, Any] = read_json(file)
        if not isinstance(there, dict) or not isinstance(there.get("method"), dict):
            raise NotPlain("it is no identity")
    except NotPlain as error:
        raise OtherSettings(
            f"{file} is damaged, so nobody can tell of which settings the half-finished work beside it is. Use "
            "--overwrite to drop it or --out DIR"
        ) from error
    if _code_alone(there, now):
        what, lines = _changed(cell, work / "source", f"the half-finished work in {work} was begun")
        raise OtherSettings(
            f"{what}: --overwrite drops that work and starts again; --out DIR, or another name on the card, keeps both",
            lines,
        )
    if there != now:
        raise OtherSettings(
            f"{work} holds half-finished work of other settings ({difference(there, now)}). Use --overwrite to drop it "
            "or --out DIR"
        )


def begin(cell: Cell, work: Path) -> None:
    """Write down which settings and code the work in this folder is of, and keep a copy of the code."""
    if not (work / FILE).exists():
        keep_source(cell.texts(), work / "source")
        write_json(work / FILE, cell.identity())


def check_demos(work: Path, demo_hash: str) -> None:
    """Write down which demonstrations the checkpoints in this folder learn from, or see that they are the same.

    Raises `OtherSettings`: of a record it could not be said which they were.
    """
    file = work / DEMOS
    if not file.exists():
        write_json(file, demo_hash)
        return
    try:
        there = read_json(file)
    except NotPlain as error:
        raise OtherSettings(
            f"{file} is damaged ({error}), so nobody can tell from which demonstrations the half-finished work beside "
            "it has learned. Use --overwrite to drop it or --out DIR"
        ) from error
    if there != demo_hash:
        raise OtherSettings(
            f"the half-finished work in {work} has learned from other demonstrations than are here now "
            f"({demo_hash[:12]}). Use --overwrite to drop it, or --data with the ones it began with"
        )


def _code_alone(there: dict[str, Any], now: dict[str, Any]) -> bool:
    """Whether the text of a method's file differs, and nothing else."""
    return there != now and _without_code(there) == _without_code(now)


def _without_code(facts: dict[str, Any]) -> dict[str, Any]:
    """An identity without the hashes of files' text."""
    method, head = dict(facts["method"]), facts.get("head")
    if "source" in method:
        method["source"] = None
    if isinstance(head, dict) and isinstance(policy := head.get("policy"), dict):
        head = {**head, "policy": {**policy, "code": {**(policy.get("code") or {}), "source": None}}}
    return {**facts, "method": method, "head": head}


def _changed(cell: Cell, folder: Path, since: str) -> tuple[str, str]:
    """What has changed, and the first lines of it."""
    old, new = read_source(folder), cell.texts()
    if not old:
        return f"{cell.method} may not be the code that it was when {since}, of which no copy was kept", ""
    return f"{', '.join(changed_files(old, new))} changed since {since}", first_lines(old, new)
