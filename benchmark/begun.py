"""What is there of a cell already, and whether it is of the very same settings and code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmark.cell import Cell, difference
from benchmark.kept_source import changed_files, first_lines, keep_source, read_source, source_folder
from benchmark.report.record import BadRecord, Record, read
from benchmark.storage import write_json
from benchmark.workfolder import OtherSettings
from methods.code import texts_of

FILE = "identity.json"
DEMOS = "demos.json"


def its_record(cell: Cell, target: Path) -> Record:
    """The finished record of this very cell. Raises `BadRecord`, or `OtherSettings` if it is of anything else."""
    try:
        record = read(target)
    except BadRecord as error:
        raise BadRecord(f"{error}; --overwrite computes it again") from error
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
        there: dict[str, Any] = json.loads(file.read_text())
    except ValueError as error:
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
        keep_source(texts_of(cell.method), work / "source")
        write_json(work / FILE, cell.identity())


def check_demos(work: Path, demo_hash: str) -> None:
    """Write down which demonstrations the checkpoints in this folder learn from, or see that they are the same.

    Raises `OtherSettings`: of a record it could not be said which they were.
    """
    file = work / DEMOS
    if not file.exists():
        write_json(file, demo_hash)
    elif json.loads(file.read_text()) != demo_hash:
        raise OtherSettings(
            f"the half-finished work in {work} has learned from other demonstrations than are here now "
            f"({demo_hash[:12]}). Use --overwrite to drop it, or --data with the ones it began with"
        )


def _code_alone(there: dict[str, Any], now: dict[str, Any]) -> bool:
    """Whether the text of a method's file differs, and nothing else."""
    return there != now and {**there, "method": {**there["method"], "source": None}} == {
        **now, "method": {**now["method"], "source": None}
    } and "source" in now["method"]  # fmt: skip


def _changed(cell: Cell, folder: Path, since: str) -> tuple[str, str]:
    """What has changed, and the first lines of it."""
    old, new = read_source(folder), texts_of(cell.method)
    if not old:
        return f"{cell.method} may not be the code that it was when {since}, of which no copy was kept", ""
    return f"{', '.join(changed_files(old, new))} changed since {since}", first_lines(old, new)
