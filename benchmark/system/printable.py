"""Text that is safe to show: control characters are written out, and what a terminal's encoding lacks becomes ASCII.

A record or a card may come from anybody. A terminal obeys the escape sequences in it, a right-to-left override turns
the rest of a line around, and a line break ends a table's row.
"""

from __future__ import annotations

import codecs
import re
import unicodedata

from rich.cells import cell_len

BOLD = "\x1b[1m", "\x1b[0m"
"""The only escape sequences that this project prints in text."""

_OBEYED = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # control characters but tab and line feed
    "\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb"  # direction, invisible, line separators
    "\ud800-\udfff\U000e0000-\U000e007f]"  # halves of a pair, tags
)
_SIGNS = {
    "–": "-",
    "—": "-",
    "−": "-",
    "‑": "-",
    "─": "-",
    "━": "-",
    "│": "|",
    "┃": "|",
    "×": "x",
    "·": ".",
    "…": ".",
    "†": "+",
    "‡": "+",
    "•": "*",
    "±": "+",
    "≥": ">",
    "≤": "<",
    "≈": "~",
    "→": ">",
    "←": "<",
    "°": "o",
    "µ": "u",
    "‘": "'",
    "’": "'",
    "“": '"',
    "”": '"',
}
"""One sign for one, so that columns stay below each other."""


def printable(text: str) -> str:
    """Control characters written out (`\\x1b`), line feeds and tabs kept."""
    return _OBEYED.sub(lambda match: _written_out(match[0]), text)


def one_line(text: str) -> str:
    """As `printable`, with a space for each run of line breaks and tabs."""
    return printable(re.sub(r" *[\r\n\t\x0b\x0c\x85\u2028\u2029][\s\x85]*", " ", text))


def _written_out(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def to_ascii(text: str) -> str:
    """ASCII of the same width in a terminal: accents fall off, what has no likeness becomes `?`."""
    return "".join(character if character.isascii() else _likeness(character) for character in text)


def _likeness(character: str) -> str:
    if character in _SIGNS:
        return _SIGNS[character]
    plain = "".join(c for c in unicodedata.normalize("NFKD", character) if c.isascii() and c.isprintable())
    width = cell_len(character)
    return plain if plain and len(plain) == width else "?" * width


def _replace(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return to_ascii(error.object[error.start : error.end]), error.end


ENCODING = "bench-ascii"
"""Name of the error handler of `str.encode` that never fails."""
codecs.register_error(ENCODING, _replace)


def duration(seconds: float) -> str:
    """`45 s`, `12 min`, `3.5 h`."""
    minutes = seconds / 60
    return f"{seconds:.0f} s" if seconds < 90 else f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.1f} h"
