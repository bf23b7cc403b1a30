"""Records copied with smaller files of actions: the first episodes as they were sent, of the others their hashes.

Two hundred episodes of 1,500 steps of a bimanual robot have megabytes of actions, which is too much for a repository of
code. The hashes are what the record's own hash of its actions is made of, so the copy is still known to be of this
record; an audit replays what is there and says how much is not.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmark.records.actions import packed_actions, read_kept, retest_actions
from benchmark.records.hash_chain import episode_digest, sent_actions
from benchmark.records.hub.contents import BESIDE, RECORDS, ROOT, contents
from benchmark.records.read import read
from benchmark.records.record import Evaluation, Record
from benchmark.records.shifted_retests import read_shifts, shift_actions
from benchmark.system.files import write_atomically
from envs.errors import UserError


class CannotShrink(UserError, ValueError):
    """A file of actions that cannot be made smaller, or a place that holds something else. The message says why."""


@dataclass(frozen=True)
class Shrunk:
    """file: that was written. kept, of: episodes whose actions are in it, and all of them. size: bytes."""

    file: Path
    kept: int
    of: int
    size: int


def shrink_records(folder: Path, to: Path, most: int) -> list[Shrunk]:
    """Copy the records under `folder` to `to`, with at most `most` bytes in a file of a retest's actions.

    The actions of evaluations during training are left out where they are larger: best* and last then rest on the
    record's chain of hashes. Those of episodes that were played further are copied whole, because without them the
    episodes count for nothing. Records are written last. Raises `CannotShrink`, and what `contents` raises.
    """
    found = contents(folder)
    if found.kind != RECORDS:
        raise CannotShrink(f"{folder} is a data set, not records")
    files = {to / Path(name).relative_to(ROOT): file for name, file in found.files.items()}
    records = [target for target in files if target.suffix == ".json" and not target.name.endswith(BESIDE)]
    written: list[Shrunk] = []
    if any(target.exists() and target.samefile(file) for target, file in files.items()):
        raise CannotShrink(f"{to} is where the records themselves lie; give another folder for the copies")
    for target in records:
        if os.path.lexists(target) and target.read_bytes() != files[target].read_bytes():
            raise CannotShrink(f"{target} is another record than {files[target]}; give another folder, or remove it")
    for target in records:
        source, own = files[target], re.compile(re.escape(target.stem) + r"\..+")
        record = read(source)
        parts = {retest_actions(source): record.retest}
        parts |= {shift_actions(source, shift): part for shift, part in read_shifts(source, record).items()}
        beside = {place: file for place, file in files.items() if place.parent == target.parent and place != target}
        for place, file in beside.items():
            if not own.fullmatch(place.name) or (file not in parts and _left_out(file, most)):
                continue
            place.parent.mkdir(parents=True, exist_ok=True)
            if file in parts:
                written.append(_shrink(file, place, parts[file], record, most))
            else:
                shutil.copyfile(file, place)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    return written


def _left_out(file: Path, most: int) -> bool:
    return file.name.endswith(".evaluations.actions.npz") and file.stat().st_size > most


def _shrink(file: Path, place: Path, evaluation: Evaluation, record: Record, most: int) -> Shrunk:
    actions, hashes = read_kept(file, record.longest)
    names = [str(row[0]) for row in evaluation.episodes if str(row[0]) in actions or str(row[0]) in hashes]
    each = {name: hashes[name] if name in hashes else episode_digest(actions[name]) for name in names}
    if file.stat().st_size <= most:
        _refuse_other(place, actions, hashes, record)
        write_atomically(place, lambda out: out.write(file.read_bytes()))
        return Shrunk(place, len(actions), len(names), file.stat().st_size)
    count = _how_many(actions, each, names, most)
    kept = {name: actions[name] for name in names[:count]}
    left = {name: each[name] for name in names[count:]}
    if evaluation.actions is None or not sent_actions(evaluation.actions, kept, left):
        raise CannotShrink(
            f"{file} has one hash for all its episodes, as records had at first; only one that is made again "
            "can be shrunk"
        )
    content = packed_actions(kept, left)
    if len(content) > most:
        raise CannotShrink(f"{file}: the hashes of its episodes alone are {len(content):,} bytes; allow more")
    _refuse_other(place, kept, left, record)
    write_atomically(place, lambda out: out.write(content))
    return Shrunk(place, count, len(names), len(content))


def _refuse_other(place: Path, kept: Mapping[str, object], left: Mapping[str, str], record: Record) -> None:
    """Raises `CannotShrink` where a file is there that has other episodes' actions: the only whole ones, perhaps."""
    if os.path.lexists(place) and [one.keys() for one in read_kept(place, record.longest)] != [
        kept.keys(),
        left.keys(),
    ]:
        raise CannotShrink(
            f"{place} is there already, with the actions of other episodes than would be written; give another folder"
        )


def _how_many(actions: Mapping[str, object], each: Mapping[str, str], names: Sequence[str], most: int) -> int:
    """Of the first episodes, how many fit beside the hashes of the others."""
    size = len(packed_actions({}, each))
    for count, name in enumerate(names):
        if name not in actions:
            return count
        size += len(packed_actions({name: actions[name]}, {})) - len(packed_actions({}, {name: each[name]}))  # type: ignore[dict-item]
        if size > most:
            return count
    return len(names)
