"""Text in lines that a terminal holds, those of one paragraph below each other."""

from __future__ import annotations

import io

from rich.console import Console
from rich.text import Text

USUAL = 80
"""Columns where nothing says how wide the terminal is: a file, a pipe."""
MOST = 110
"""Columns of text; a longer line is hard to read."""
NARROWEST = 10
"""Columns that a paragraph has at least, however much stands before it."""


def wrapped(text: str, width: int, first: str = "", further: str = "  ") -> str:
    """No line is wider than `width` columns, wide signs counted as two; a word that is longer is cut.

    first, further: what the first and the other lines begin with; counted as one sign a column.
    """
    room = max(width - max(len(first), len(further)), NARROWEST)
    lines = Text(text).wrap(Console(file=io.StringIO(), _environ={}), room, overflow="fold")
    begins = [first, *[further] * (len(lines) - 1)]
    return "\n".join((begin + line.plain).rstrip() for begin, line in zip(begins, lines, strict=True))
