"""Fetching a data set or records from the Hub. Nothing that comes is run, and what does not hold is not kept."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.data.lerobot.dataset import NotADataset, read_dataset
from benchmark.data.lerobot.layout import CARD
from benchmark.records.hub.client import client, told
from benchmark.records.hub.contents import (
    LEROBOT,
    ROOT,
    NothingToShare,
    check_records,
    kind_of,
    remove,
    travels,
)
from benchmark.system.errors import ConfigError
from benchmark.system.files import discard, exclusive, explain
from benchmark.system.progress import bar


@dataclass(frozen=True)
class Offered:
    """What a repository has of ours. commit: the one that is fetched. left_out: files that are no part of it."""

    repo: str
    commit: str
    kind: str
    files: tuple[tuple[str, int], ...]
    left_out: tuple[str, ...]


@dataclass(frozen=True)
class Pulled:
    """bad: records that do not hold, by name in the repository, and why. They are not kept."""

    folder: Path
    said: str
    bad: tuple[tuple[str, str], ...] = ()


def check_place(folder: Path) -> None:
    """Raises `ConfigError` for a folder that is there."""
    if os.path.lexists(folder):
        raise ConfigError(f"{folder} is there already; give a folder that is not, or remove it")


def offered(repo: str, revision: str | None = None) -> Offered:
    """Asks the Hub. Raises `HubFailed`, and `NothingToShare` for a repository without anything of ours."""
    api = client()
    with told(repo):
        info = api.repo_info(repo, repo_type="dataset", revision=revision, files_metadata=True)
    there: list[Any] = list(info.siblings or [])
    kind = kind_of(one.rfilename for one in there)
    if kind is None:
        raise NothingToShare(f"{repo} has neither a LeRobot data set (meta/info.json) nor records ({ROOT}/...)")
    files = sorted((one.rfilename, int(one.size or 0)) for one in there if travels(kind, one.rfilename))
    others = (one.rfilename for one in there if not travels(kind, one.rfilename))
    left = sorted(name for name in others if name not in (CARD, ".gitattributes"))
    return Offered(repo, str(info.sha), kind, tuple(files), tuple(left))


def pull(there: Offered, folder: Path) -> Pulled:
    """Fetch, check and place. `folder` is whole afterwards, or not there; what was fetched before a stop is used.

    Raises `ConfigError` for a folder that is there, `NotADataset`, `HubFailed`, and `NothingToShare` where no record
    holds.
    """
    check_place(folder)
    partial = folder.parent / f".{folder.name}.unfinished"
    with exclusive(partial / "lock", f"the pull to {folder}", wait=False):
        content = partial / there.commit
        _fetch(there, content)
        root = content if there.kind == LEROBOT else content / ROOT
        try:
            pulled = _checked(there, root, folder)
        except (NotADataset, NothingToShare):
            discard(partial)
            raise
        with explain(folder):
            root.rename(folder)
        discard(partial)
    return pulled


def _fetch(there: Offered, content: Path) -> None:
    """Each file of the commit, in the one state that it has there."""
    api = client()
    with explain(content), told(there.repo), bar(f"pull {there.repo}", len(there.files)) as advance:
        for name, _ in there.files:
            api.hf_hub_download(there.repo, name, repo_type="dataset", revision=there.commit, local_dir=content)
            advance()
    discard(content / ".cache")


def _checked(there: Offered, root: Path, folder: Path) -> Pulled:
    """Raises `NotADataset` or `NothingToShare`."""
    if there.kind == LEROBOT:
        try:
            found = read_dataset(root)
        except NotADataset as error:
            raise NotADataset(
                f"{there.repo} was fetched and not kept: {str(error).replace(f'{root} ', 'it ')}"
            ) from error
        return Pulled(folder, f"LeRobot data set, {found.episodes} episodes, {found.frames:,} frames")
    good, bad = check_records(root)
    for path, _ in bad:
        remove(path)
    named = tuple((path.relative_to(root.parent).as_posix(), why) for path, why in bad)
    if not good:
        raise NothingToShare(f"no record of {there.repo} holds: {named[0][0]}: {named[0][1]}" if named else "no record")
    return Pulled(folder, f"{good} record{'s' if good > 1 else ''}", named)
