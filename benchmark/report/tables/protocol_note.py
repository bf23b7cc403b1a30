"""What a protocol has otherwise than the paper's, for tables that stand beside printed numbers."""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from benchmark.records.label_check import HASHED
from benchmark.records.record import Record
from benchmark.report.tables.table import Table
from benchmark.settings.load import choices, load_protocol
from benchmark.settings.protocol import Protocol
from envs.identity import added

PAPERS, KEYFRAMES = "clar", "clar-rlbench"
"""The paper's protocol on MetaWorld, and on RLBench."""
OURS = {"name", "title", "source", "retest_rollouts"}
"""Words, and what no paper's protocol has."""


def departure(protocol: str, papers: str = PAPERS, records: Iterable[Record] = ()) -> tuple[str, ...]:
    """A note for a table's foot that names every difference; none for the paper's own protocol, `papers`.

    protocol: a name, or a label that says what was overridden (`clar+epochs=2`, see `benchmark.settings.labels`). A
    label of very many changes has a hash in their place; what they are is in any of `records` that is of it.
    """
    if protocol == papers:
        return ()
    base, _, overridden = protocol.partition("+")
    differs: Sequence[str] = ()
    if base in choices("protocol"):  # records may come from elsewhere
        if HASHED.fullmatch(overridden):
            said = next((record.identity["protocol"] for record in records if record.protocol == protocol), None)
            differs = _as_said(said, overridden, papers) if said else _not_said(base, overridden)
        else:
            differs = _of_label(base, overridden, papers)
    why = f" ({', '.join(differs)})" if differs else ""
    return (f"protocol {protocol} is not the paper's{why}: its numbers do not compare with the reported ones.",)


@functools.cache
def _of_label(base: str, overridden: str, papers: str) -> Sequence[str]:
    differs: dict[str, str] = {}
    paper, own = load_protocol(papers), load_protocol(base)
    for name in _compared():
        if getattr(paper, name) != getattr(own, name):
            differs[name] = _instead(name, getattr(own, name), getattr(paper, name))
    for part in filter(None, overridden.split(",")):
        key, _, value = part.partition("=")
        usual = _said(getattr(paper, key, None)) if hasattr(paper, key) else None
        differs[key] = f"{key} {value} instead of {usual}" if usual else f"{key} {value}" if value else key
    return tuple(differs.values())


def _as_said(said: Mapping[str, Any], overridden: str, papers: str) -> Sequence[str]:
    """said: the protocol in a record's identity, in which what was added later is left out at its default."""
    paper, now = load_protocol(papers), {**added(Protocol), **said}
    usual = json.loads(json.dumps(dataclasses.asdict(paper)))
    differs = [
        _instead(name, now[name], usual[name]) for name in _compared() if name in now and now[name] != usual[name]
    ]
    return (*differs, f"{overridden} counts those of the suite, too")


def _not_said(base: str, overridden: str) -> Sequence[str]:
    return (f"{base} with {overridden.partition('-')[0]} changes that only its records name",)


def _compared() -> list[str]:
    return [field.name for field in dataclasses.fields(Protocol) if field.name not in OURS]


def _instead(name: str, value: Any, usual: Any) -> str:
    return f"{name} {_said(value)} instead of {_said(usual)}"


def for_rlbench(protocol: str) -> str:
    """The label under which RLBench's tasks were run where MetaWorld's were run under `protocol`."""
    base, sign, overridden = protocol.partition("+")
    return f"{KEYFRAMES}{sign}{overridden}" if base == PAPERS else protocol


def named(
    table: Table, suite: str | None, protocol: str, papers: str = PAPERS, records: Iterable[Record] = ()
) -> Table:
    """The table with its suite, its protocol and what that has otherwise than the paper's: CSV and JSON say them."""
    return dataclasses.replace(table, suite=suite, protocol=protocol, departs=departure(protocol, papers, records))


def _said(value: Any) -> str:
    """A mapping part by part: 2d 64 and 3d 64."""
    return " and ".join(f"{key} {part}" for key, part in value.items()) if isinstance(value, Mapping) else str(value)
