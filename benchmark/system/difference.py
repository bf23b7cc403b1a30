"""In what two pieces of plain data differ, in words."""

from __future__ import annotations

from typing import Any


def difference(old: dict[str, Any], new: dict[str, Any]) -> str:
    """The first few settings that differ, for a message."""
    found: list[str] = []

    def walk(a: Any, b: Any, path: str) -> None:
        if isinstance(a, dict) and isinstance(b, dict):
            for key in sorted(set(a) | set(b)):
                walk(a.get(key), b.get(key), f"{path}.{key}" if path else key)
        elif a != b:
            found.append(f"{path}: {a} there, {b} here")

    walk(old, new, "")
    found.sort(key=len)  # what a person can read before hashes
    return "; ".join(found[:3]) or "the recorded schema differs"
