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
    """A note for a table's foot that names every difference; none for the paper's own protocol."""
    if protocol == PAPERS:
        return ()
    differs = ""
    if protocol in choices("protocol"):  # records may come from elsewhere
        paper, own = load_protocol(PAPERS), load_protocol(protocol)
        names = [field.name for field in dataclasses.fields(own) if field.name not in OURS]
        pairs = [(name, getattr(paper, name), getattr(own, name)) for name in names]
        differs = ", ".join(f"{name} {_said(b)} for {_said(a)}" for name, a, b in pairs if a != b)
    why = f" ({differs})" if differs else ""
    return (f"protocol {protocol} is not the paper's{why}: its numbers do not compare with the printed ones.",)


def _said(value: Any) -> str:
    """A mapping part by part: 2d 64 and 3d 64."""
    return " and ".join(f"{key} {part}" for key, part in value.items()) if isinstance(value, Mapping) else str(value)
