"""What may travel: a LeRobot data set, or records and the files beside them. Everything is checked on both ways.

In a repository records lie under `records/`, each where its names put it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, TypeVar

from benchmark.data.lerobot.dataset import read_dataset
from benchmark.data.lerobot.layout import CARD, INFO
from benchmark.records.actions import BadActions, read_kept, retest_actions
from benchmark.records.hash_chain import sent_actions
from benchmark.records.paths import record_path
from benchmark.records.read import BadRecord, read_all
from benchmark.records.shifted_retests import read_shifts, shift_actions
from envs.errors import UserError

if TYPE_CHECKING:
    from benchmark.records.record import Evaluation, Record

Kept = TypeVar("Kept")
LEROBOT, RECORDS = "lerobot", "records"
ROOT = "records"
BESIDE = (".actions.npz", ".evaluations.actions.npz", ".shifts.json", ".further.json", ".png")
"""Ends of the names of files that travel with a record."""
IN_DATASET = {"meta": (".json", ".parquet"), "data": (".parquet",), "videos": (".mp4",)}


class NothingToShare(UserError, ValueError):
    """A folder or a repository without a data set and without records, or with something that does not hold."""


@dataclass(frozen=True)
class Contents:
    """kind: `lerobot` or `records`. files: name in the repository -> file here. said: what it is, in words."""

    kind: str
    files: dict[str, Path]
    said: str

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(file.stat().st_size for file in self.files.values())


def contents(folder: Path) -> Contents:
    """What of a folder would be sent; of OUT its records. Only what holds travels.

    Raises `NotADataset`, `BadRecord` or `NothingToShare`.
    """
    if (folder / INFO).exists():
        found = read_dataset(folder)
        names = [file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()]
        kept = {name: folder / name for name in sorted(names) if travels(LEROBOT, name)}
        return Contents(LEROBOT, kept, f"LeRobot data set, {found.episodes} episodes, {found.frames:,} frames")
    if not folder.is_dir():
        raise NothingToShare(f"{folder} is no folder; give a LeRobot data set, or a folder of records")
    files: dict[str, Path] = {}
    count = 0
    for path, record in read_all([folder / ROOT if (folder / ROOT).is_dir() else folder]):
        if isinstance(record, BadRecord):
            raise record
        if wrong := wrong_beside(path, record):
            raise NothingToShare(f"{path}: {wrong}")
        place = record_path(
            Path(ROOT), record.protocol, record.suite, record.task, record.method, record.head, record.seed
        )
        count += 1
        for end in (".json", *BESIDE):
            if (file := path.with_suffix(end)).is_file():
                files[place.with_suffix(end).as_posix()] = file
        for shift in read_shifts(path, record):
            if (file := shift_actions(path, shift)).is_file():
                files[shift_actions(place, shift).as_posix()] = file
    if not count:
        raise NothingToShare(
            f"{folder} has no {INFO}, so it is no LeRobot data set, and no records; `bench export demos` writes the "
            "one, `bench run` the other"
        )
    return Contents(RECORDS, files, f"{count} record{'s' if count > 1 else ''}")


def kind_of(names: Iterable[str]) -> str | None:
    """What a repository with these files holds; None for neither."""
    known = set(names)
    if INFO in known:
        return LEROBOT
    return RECORDS if any(travels(RECORDS, name) for name in known) else None


def travels(kind: str, name: str) -> bool:
    """Whether a file of a repository is a part of such contents; code, for example, never is."""
    parts = PurePosixPath(name).parts
    plain = name.isprintable() and "\\" not in name and "/".join(parts) == name
    if not plain or any(part.startswith(".") for part in parts):  # `..`, hidden files, a root
        return False
    if kind == LEROBOT:
        return name == CARD or (len(parts) > 1 and name.endswith(IN_DATASET.get(parts[0], "\0")))
    return len(parts) == 6 and parts[0] == ROOT and name.endswith((".json", *BESIDE))


def check_records(root: Path) -> tuple[int, list[tuple[Path, str]]]:
    """How many records hold under a folder that was fetched, and those that do not, with the reason."""
    good, bad = 0, []
    for path, record in read_all([root]):
        if isinstance(record, BadRecord):
            bad.append((path, record.reason))
        elif wrong := wrong_beside(path, record):
            bad.append((path, wrong))
        else:
            good += 1
    return good, bad


def wrong_beside(path: Path, record: Record) -> str:
    """What contradicts a record in the actions beside it, or "". They may be absent: then it cannot be replayed."""
    file = retest_actions(path)
    if record.retest.actions is None or not file.exists():
        return ""
    try:
        actions, hashes = (of_episodes(kept, record.retest) for kept in read_kept(file, record.longest))
    except BadActions as error:
        return f"{file.name}: {error}"
    sent = sent_actions(record.retest.actions, actions, hashes)
    return "" if sent else f"{file.name} has not the actions that were sent"


def of_episodes(kept: dict[str, Kept], evaluation: Evaluation) -> dict[str, Kept]:
    """What is kept of an evaluation's own episodes."""
    names = [str(row[0]) for row in evaluation.episodes]
    return {name: kept[name] for name in names if name in kept}


def remove(path: Path) -> None:
    """A record and what lies beside it."""
    for file in list(path.parent.iterdir()):
        if file.name.startswith(f"{path.stem}."):
            file.unlink()


def sizes(files: Sequence[tuple[str, int]]) -> list[str]:
    """A line for each file and one for all."""
    lines = [f"{size:>14,}  {name}" for name, size in files]
    return [*lines, f"{sum(size for _, size in files):>14,}  bytes in {len(files)} files"]
