"""What a protocol has otherwise than the paper's, for tables that stand beside printed numbers."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from benchmark.config import choices, load_protocol

PAPERS = "clar"
OURS = {"name", "title", "source", "retest_rollouts"}
"""Words, and what no paper's protocol has."""


def departure(protocol: str) -> tuple[str, ...]:
    """A note for a table's foot that names every difference; none for the paper's own protocol.

    protocol: a name, or a label that says what was overridden (`clar+epochs=2`, see `benchmark.labels`).
    """
    if protocol == PAPERS:
        return ()
    base, _, overridden = protocol.partition("+")
    differs: dict[str, str] = {}
    if base in choices("protocol"):  # records may come from elsewhere
        paper, own = load_protocol(PAPERS), load_protocol(base)
        for name in (field.name for field in dataclasses.fields(own) if field.name not in OURS):
            if getattr(paper, name) != getattr(own, name):
                differs[name] = f"{name} {_said(getattr(own, name))} for {_said(getattr(paper, name))}"
        for part in filter(None, overridden.split(",")):
            key, _, value = part.partition("=")
            usual = _said(getattr(paper, key, None)) if hasattr(paper, key) else None
            differs[key] = f"{key} {value} for {usual}" if usual else f"{key} {value}" if value else key
    why = f" ({', '.join(differs.values())})" if differs else ""
    return (f"protocol {protocol} is not the paper's{why}: its numbers do not compare with the printed ones.",)


def _said(value: Any) -> str:
    """A mapping part by part: 2d 64 and 3d 64."""
    return " and ".join(f"{key} {part}" for key, part in value.items()) if isinstance(value, Mapping) else str(value)
