"""What a protocol has otherwise than the paper's, for tables that stand beside printed numbers."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

from benchmark.report.tables.table import Table
from benchmark.settings.load import choices, load_protocol

PAPERS, KEYFRAMES = "clar", "clar-rlbench"
"""The paper's protocol on MetaWorld, and on RLBench."""
OURS = {"name", "title", "source", "retest_rollouts"}
"""Words, and what no paper's protocol has."""


@functools.cache
def departure(protocol: str, papers: str = PAPERS) -> tuple[str, ...]:
    """A note for a table's foot that names every difference; none for the paper's own protocol, `papers`.

    protocol: a name, or a label that says what was overridden (`clar+epochs=2`, see `benchmark.settings.labels`).
    """
    if protocol == papers:
        return ()
    base, _, overridden = protocol.partition("+")
    differs: dict[str, str] = {}
    if base in choices("protocol"):  # records may come from elsewhere
        paper, own = load_protocol(papers), load_protocol(base)
        for name in (field.name for field in dataclasses.fields(own) if field.name not in OURS):
            if getattr(paper, name) != getattr(own, name):
                differs[name] = f"{name} {_said(getattr(own, name))} instead of {_said(getattr(paper, name))}"
        for part in filter(None, overridden.split(",")):
            key, _, value = part.partition("=")
            usual = _said(getattr(paper, key, None)) if hasattr(paper, key) else None
            differs[key] = f"{key} {value} instead of {usual}" if usual else f"{key} {value}" if value else key
    why = f" ({', '.join(differs.values())})" if differs else ""
    return (f"protocol {protocol} is not the paper's{why}: its numbers do not compare with the reported ones.",)


def for_rlbench(protocol: str) -> str:
    """The label under which RLBench's tasks were run where MetaWorld's were run under `protocol`."""
    base, sign, overridden = protocol.partition("+")
    return f"{KEYFRAMES}{sign}{overridden}" if base == PAPERS else protocol


def named(table: Table, suite: str | None, protocol: str, papers: str = PAPERS) -> Table:
    """The table with its suite, its protocol and what that has otherwise than the paper's: CSV and JSON say them."""
    return dataclasses.replace(table, suite=suite, protocol=protocol, departs=departure(protocol, papers))


def _said(value: Any) -> str:
    """A mapping part by part: 2d 64 and 3d 64."""
    return " and ".join(f"{key} {part}" for key, part in value.items()) if isinstance(value, Mapping) else str(value)
