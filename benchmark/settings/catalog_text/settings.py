"""A suite, protocol, head, data or pre-training as text: its settings as one would give them, and what each is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from benchmark.settings.catalog_text.comments import comments
from benchmark.settings.catalog_text.entries import entries
from benchmark.system.wrapped import wrapped

WORDS = ("what", "name", "title", "source", "licence", "env", "also", "defaults")
"""Said above the settings."""
LONGEST = 36
"""Columns of `NAME=VALUE`; what is longer has its meaning in the next line."""
GIVEN = "settings, as they are given to change one (in quotes where a shell takes a sign for its own):"
MARKS = "(P): the paper says so. (D): it is silent, and this is our default."
SHORT = 40
"""Characters of a mapping that is shown as one value; a longer one is shown key by key."""


def settings_text(found: Mapping[str, Any], prefix: str, file: Path, bases: Path, width: int) -> list[str]:
    """found: as `bench show --json` has it. prefix: what stands before a setting's name where it is given. bases: the
    folder of the files that one of a user's may go on from."""
    head = [f"{found['name']}: {found.get('title', '')}".rstrip(": ") + f" ({found['what']})"]
    said = file.read_text().splitlines()[:1]
    summary = said[0].lstrip("# ").strip() if said and said[0].startswith("#") else ""
    facts = [("simulator", found.get("env")), ("source", found.get("source")), ("licence", found.get("licence"))]
    meanings = comments(file, bases)
    values = list(_values({key: value for key, value in found.items() if key not in WORDS}, meanings))
    marks = any(mark in said for _, _, said in values for mark in ("(P)", "(D)"))
    return [
        *(wrapped(line, width) for line in head),
        *([wrapped(summary, width, "  ", "  ")] if summary else []),
        *entries(((name, str(value)) for name, value in facts if value), width),
        "",
        wrapped(GIVEN, width, "", "    "),
        *entries(((f"{prefix}{key}={text}", said) for key, text, said in values), width, LONGEST),
        *(["", wrapped(MARKS, width, "", "    ")] if marks else []),
    ]


def _values(found: Mapping[str, Any], meanings: Mapping[str, str], outer: str = "") -> Iterator[tuple[str, str, str]]:
    """Dotted key, value as YAML in one line, meaning."""
    for key, value in found.items():
        text = in_a_line(value)
        if isinstance(value, Mapping) and len(text) > SHORT:
            yield from _values(value, meanings, f"{outer}{key}.")
        else:
            yield f"{outer}{key}", text, meanings.get(f"{outer}{key}", "")


def in_a_line(value: Any) -> str:
    text = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, sort_keys=False, width=10**9)
    return text.removesuffix("\n").removesuffix("\n...")
