"""The user's checkout of google-deepmind/aloha_sim: where it is, and whether it is the pinned one, file by file.

`files.txt` has the files that are used, by folder, with their git blob hashes at `COMMIT` (git ls-tree -r COMMIT).
"""

from __future__ import annotations

import functools
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from envs.class_facts import NoSimulator
from envs.options import options_of

URL = "https://github.com/google-deepmind/aloha_sim"
COMMIT = "3cb9adff51a0962ec8b0c8eab79c5894363ec6f5"
TABLE = Path(__file__).with_name("files.txt")
ASSETS = "aloha_sim/assets"
REPLACEABLE = {
    f"{ASSETS}/aloha/assets/cell_extrusions/cell_extrusions.obj": "frame",
    f"{ASSETS}/ycb/011_banana/google_64k/meshes/textured.obj": "banana",
    f"{ASSETS}/ycb/024_bowl/google_64k/meshes/textured.obj": "bowl",
    f"{ASSETS}/ycb/025_mug/google_64k/meshes/textured.obj": "mug",
    f"{ASSETS}/ycb/029_plate/google_64k/meshes/textured.obj": "plate",
}
"""Visual meshes, some of several megabytes, that mirrors may leave out; `env.aloha.stand_ins=true` does without."""


class NoCheckout(NoSimulator):
    """No checkout of aloha_sim, or one that is not the pinned commit; the message says what mends it."""


@dataclass(frozen=True)
class Checkout:
    """root: its folder. missing: used files that are not there; changed: that are not those of `COMMIT`."""

    root: Path
    missing: tuple[str, ...]
    changed: tuple[str, ...]

    @property
    def replaced(self) -> tuple[str, ...]:
        """What is missing and can be done without, by its short name: `banana`, ..., and `frame` of the table."""
        return tuple(REPLACEABLE[path] for path in self.missing if path in REPLACEABLE)

    @property
    def content(self) -> str:
        """12 hexadecimal digits of a hash of the used files that are there."""
        digest = hashlib.sha256()
        for path, blob in table().items():
            if path not in self.missing:
                digest.update(f"{path} {blob}\n".encode())
        return digest.hexdigest()[:12]

    @property
    def assets(self) -> Path:
        return self.root / ASSETS


@functools.cache
def table() -> dict[str, str]:
    """Every file that is used, relative to the checkout, with its git blob hash at `COMMIT`."""
    found, folder = {}, ""
    for line in TABLE.read_text().splitlines():
        if line.endswith("/"):
            folder = "" if line == "./" else line
        else:
            blob, name = line.split(" ", 1)
            found[folder + name] = blob
    return found


def default_root() -> Path:
    return Path.home() / ".cache" / "repbench" / "sims" / "aloha_sim"


def root_named() -> Path:
    """The folder that `env.aloha.root`, else $REPBENCH_ALOHA names, else where `bench fetch aloha` puts it."""
    said = options_of("aloha").get("root") or os.environ.get("REPBENCH_ALOHA")
    return Path(str(said)).expanduser() if said else default_root()


def blob_hash(content: bytes) -> str:
    """As git names a file's content."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def examine(root: Path) -> Checkout:
    """Compare every used file with the table. Raises `NoCheckout` where no aloha_sim is."""
    if not (root / ASSETS).is_dir():
        raise NoCheckout(
            f"no checkout of aloha_sim at {root}: run `bench fetch aloha`, or clone {URL} at {COMMIT[:8]} and name its "
            "folder by env.aloha.root=DIR or $REPBENCH_ALOHA"
        )
    return _examined(root.resolve())


@functools.cache
def _examined(root: Path) -> Checkout:
    """Once in a process: 70 MB are hashed."""
    missing, changed = [], []
    for path, blob in table().items():
        try:
            content = (root / path).read_bytes()
        except OSError:
            missing.append(path)
            continue
        if blob_hash(content) != blob:
            changed.append(path)
    return Checkout(root, tuple(missing), tuple(changed))


def forget() -> None:
    """Files may have changed since they were looked at."""
    _examined.cache_clear()


def usable(root: Path, stand_ins: bool) -> Checkout:
    """The checkout at `root`. Raises `NoCheckout` for another commit, an edited file or a missing one.

    stand_ins: whether visual meshes of `REPLACEABLE` may be missing.
    """
    found = examine(root)
    if found.changed:
        raise NoCheckout(
            f"{root} is not aloha_sim at {COMMIT[:8]}: {_some(found.changed)} differ; `git -C {root} checkout {COMMIT}`"
        )
    needed = [path for path in found.missing if not (stand_ins and path in REPLACEABLE)]
    if needed:
        only = all(path in REPLACEABLE for path in needed)
        mend = " (or env.aloha.stand_ins=true: shapes in their place, named in every record)" if only else ""
        raise NoCheckout(
            f"{root} lacks {_some(needed)}; `git -C {root} checkout {COMMIT} -- {ASSETS}`, `bench fetch aloha` clones "
            f"a whole one{mend}"
        )
    return found


def _some(paths: tuple[str, ...] | list[str]) -> str:
    more = f" and {len(paths) - 3} more" if len(paths) > 3 else ""
    return ", ".join(paths[:3]) + more
