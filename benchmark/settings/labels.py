"""What was overridden, in the name: numbers of a changed protocol never stand under the name of the one it was.

`clar+epochs=2,train_demos=3` is the protocol `clar` with two of its numbers changed; a head likewise. What changes the
observation or the precision is part of the protocol's name, because a table is rendered for one protocol.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from envs.names import IN_LABELS, LONGEST_PART, safe_name
from envs.registry import UnknownName

LONGEST, LONGEST_VALUE = 100, 24
WORDS = {"name", "title", "source"}
NUMBERS_OF_A_SUITE = ("env", "observation", "rules", "task_rules", "language.held_out", "language.instructions")
"""What of a suite changes a number and is not said elsewhere (tasks are in the cell, `language.text` in the method)."""


def protocol_label(name: str, written: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """written, now: composed configurations, before and after the overrides."""
    found = {k: v for k, v in changes(written["protocol"], now["protocol"]).items() if k not in WORDS}
    for key, value in changes(written["suite"], now["suite"]).items():
        if key.startswith(NUMBERS_OF_A_SUITE):
            found[key] = value
    if written["runtime"]["precision"] != now["runtime"]["precision"]:
        found["precision"] = now["runtime"]["precision"]
    return label(name, found)


def head_label(name: str, written: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    return label(name, {k: v for k, v in changes(written, now).items() if k not in WORDS})


def label(name: str, changed: Mapping[str, Any]) -> str:
    """`name+key=value,...`, safe in paths; of very many changes a hash."""
    if not changed:
        return name
    text = ",".join(in_words(changed))
    return f"{name}+{hashed(changed) if len(text) > LONGEST else text}"


def hashed(changed: Mapping[str, Any]) -> str:
    """How many changes, and a hash of them."""
    text = ",".join(in_words(changed))
    return f"{len(changed)}-changes-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def in_words(changed: Mapping[str, Any]) -> list[str]:
    """`key=value` of each change, as labels say it."""
    return [f"{key}={_text(value)}" for key, value in sorted(changed.items())]


def base_of(label: str) -> str:
    """The file that a label's protocol or head was made from."""
    return label.partition("+")[0]


def named_in_paths(what: str, label: str) -> None:
    """Raises `UnsafeName` for a label that cannot be a folder's or a file's name."""
    safe_name(what, label, IN_LABELS, LONGEST_PART)


def check_base(group: str, label: str, known: list[str]) -> str:
    """`base_of` a label that somebody typed. Raises `UnknownName`."""
    if base_of(label) not in known:
        raise UnknownName(group, label, known)
    return base_of(label)


def changes(written: Any, now: Any, prefix: str = "") -> dict[str, Any]:
    """Dotted keys whose values differ, with what they are now."""
    if isinstance(written, Mapping) and isinstance(now, Mapping):
        found: dict[str, Any] = {}
        for key in {**written, **now}:
            found |= changes(written.get(key), now.get(key), f"{prefix}.{key}" if prefix else str(key))
        return found
    if isinstance(written, float) and isinstance(now, int):
        now = float(now)  # 1 and 1.0 are one setting
    return {} if written == now else {prefix: now}


def _text(value: Any) -> str:
    if isinstance(value, str) and ".py:" in value:
        value = Path(value).name  # a simulator's file, whose content is in the identity
    if isinstance(value, Mapping) and all(isinstance(inner, (list, tuple)) for inner in value.values()):
        value = [part for key, inner in value.items() for part in (key, *inner)]  # sizes of cameras: corner2-120-160
    plain = "-".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
    plain = plain.lower() if isinstance(value, bool) else plain
    safe = re.sub(r"[^A-Za-z0-9.-]", "_", plain)
    if safe == plain and len(safe) <= LONGEST_VALUE:
        return safe
    return f"{safe[:12]}_{hashlib.sha256(plain.encode()).hexdigest()[:6]}"  # other values, other labels
