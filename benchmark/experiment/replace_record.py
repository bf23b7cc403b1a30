"""A finished cell's files, put in their place together: an old record stays until the new one is whole."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from benchmark.system.checked_json import NotPlain, read_bytes, read_json
from benchmark.system.files import discard, explain, write_json

REPLACES = "replaces.json"


def staged(record: Path) -> Path:
    """Where a record and what lies beside it are written first: a hidden folder next to it, on the same disk."""
    return record.parent / f".{record.name}.new" / record.name


def publish(work: Path, record: Path) -> None:
    """Move what is staged to where the record belongs, the record last; what an older one has beside it goes.

    A kill in between leaves the old record or the new one, perhaps beside the other's actions. The same command then
    goes on and does this again.
    """
    source = staged(record)
    beside = [file for file in sorted(source.parent.iterdir()) if _belongs(file, source) and file != source]
    with explain(record):
        record.parent.mkdir(parents=True, exist_ok=True)
        for file in beside:
            target = record.parent / file.name
            if target.is_dir():
                discard(target)
            file.replace(target)
        source.replace(record)
        new = {file.name for file in beside}
        for file in record.parent.iterdir():
            if _belongs(file, record) and file != record and file.name not in new:
                discard(file)
    discard(source.parent)
    discard(work / REPLACES)


def begin_again(work: Path, record: Path) -> None:
    """Drop what was begun or finished in the work folder. A record that is there stays until `publish`."""
    for file in work.glob("*"):
        if not file.name.startswith("lock"):
            discard(file)
    discard(staged(record).parent)
    if record.exists():
        write_json(work / REPLACES, _content(record))


def is_being_replaced(work: Path, record: Path, identity: dict[str, Any]) -> bool:
    """Whether a replacement of this very record was begun here and is not in its place. The next command goes on."""
    if not (work / REPLACES).exists():
        return False
    try:
        replaced, begun = read_json(work / REPLACES), read_json(work / "identity.json")
    except NotPlain:
        return False
    return bool(begun == identity and replaced == _content(record))


def _content(record: Path) -> str:
    """A hash of the file; empty for one that cannot be read."""
    try:
        return hashlib.sha256(read_bytes(record)).hexdigest()
    except NotPlain:
        return ""


def _belongs(file: Path, record: Path) -> bool:
    """`mlp-s0.*` of `mlp-s0.json`."""
    return file.name.startswith(f"{record.stem}.") and not file.name.endswith(".holder")
