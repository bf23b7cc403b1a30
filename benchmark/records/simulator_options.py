"""A simulator's own options (`envs.options`) in a record, and set again when its episodes are replayed.

What they change of a number is named by the simulator's version, which a replay compares: an option that is missing or
wrong here is another version, not another outcome.
"""

from __future__ import annotations

import re
from typing import Any

from benchmark.records.record import Record
from envs.options import OF_THE_MACHINE, options_of, set_options
from envs.registry import ENVS

NAME = re.compile(r"[a-z][a-z0-9_]*")
VALUES = (bool, int, float, str)
KEPT = "simulator_options"
"""Of a record's provenance."""


def options_now(env: str) -> dict[str, Any]:
    """What a record keeps; {} where nothing was said."""
    said = (
        {} if ".py:" in env else {name: value for name, value in options_of(env).items() if name not in OF_THE_MACHINE}
    )
    return {KEPT: said} if said else {}


def options_in(record: Record) -> dict[str, Any]:
    """Of a shipped simulator; a file of somebody's is given nothing by a record."""
    said = record.provenance.get(KEPT) if record.env in ENVS else None
    if not isinstance(said, dict):
        return {}
    plain = {name: value for name, value in said.items() if NAME.fullmatch(name) and isinstance(value, VALUES)}
    return {name: value for name, value in plain.items() if name not in OF_THE_MACHINE}


def use_options(record: Record) -> None:
    """Beside those of the environment variable; what an earlier record said is forgotten."""
    if record.env in ENVS:
        set_options(record.env, options_in(record))
