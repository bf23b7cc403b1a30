"""Names with text beside them, in a terminal's width."""

from __future__ import annotations

from collections.abc import Iterable

from benchmark.system.wrapped import wrapped

LONGEST = 30
"""Columns; the text of a longer name begins in the next line."""


def entries(pairs: Iterable[tuple[str, str]], width: int, longest: int = LONGEST) -> list[str]:
    pairs = list(pairs)
    room = max((len(name) for name, _ in pairs if len(name) <= longest), default=0)
    return [entry(name, text, room, width) for name, text in pairs]


def entry(name: str, text: str, room: int, width: int) -> str:
    """`room`: columns of the longest name; the text's further lines stand below its first."""
    further = " " * (min(room, width // 2) + 4)
    if not text:
        return wrapped(name, width, "  ", "      ")
    if len(name) + 4 > len(further):
        return "\n".join((wrapped(name, width, "  ", "      "), wrapped(text, width, further, further)))
    return wrapped(text, width, f"  {name:<{len(further) - 4}}  ", further)
