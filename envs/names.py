"""Which names may become a part of a path: of methods, tasks, suites, protocols, heads, sweeps and checkpoints."""

from __future__ import annotations

import re
from pathlib import Path

from envs.errors import UserError

LONGEST = 100
"""Characters of a name that somebody gives."""
LONGEST_PART = 240
"""Bytes of a file's or folder's name that is made of several names; file systems take 255."""
IN_LABELS = "+=,"
"""What stands between the names of a label: `clar+epochs=2,train_demos=3`, `button-press+reach`."""


class UnsafeName(UserError, ValueError):
    """A name that could leave its folder, or that some file system cannot hold."""


def expanded(path: str | Path) -> Path:
    """A path with its `~` filled in. Raises `UnsafeName` for `~name` of nobody on this machine."""
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise UnsafeName(f"{path}: {error}") from error


def safe_name(what: str, name: object, also: str = "", longest: int = LONGEST) -> str:
    """The name, if it can be a file's or a folder's on any machine; else raises `UnsafeName`.

    ASCII letters, digits, `.`, `_` and `-`, of which the first is a letter or a digit, so that no name is an option,
    hidden, `..` or has a separator in it. what: names the setting in the message. also: further characters.
    """
    allowed = rf"[A-Za-z0-9][\w.{re.escape(also)}-]*"
    if isinstance(name, str) and len(name) <= longest and re.fullmatch(allowed, name, re.ASCII):
        return name
    shown = name if not isinstance(name, str) or len(name) <= longest else f"{name[:40]}..."
    raise UnsafeName(
        f"{what} {shown!r} names files and folders: give 1 to {longest} of A-Z a-z 0-9 . _ -"
        f"{''.join(f' {one}' for one in also)}, the first a letter or digit"
    )
