"""A record written whole, with a seal that finds damage."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from benchmark.records.record import Record
from benchmark.system.digest import digest
from benchmark.system.files import write_json


def write(record: Record, path: Path) -> Record:
    """Write the record with its seal, and return it so."""
    sealed = dataclasses.replace(record, seal=seal_of(record.plain()))
    data = sealed.plain()
    del data["reference"]
    write_json(path, data)
    return sealed


def seal_of(data: dict[str, Any]) -> str:
    """Of a record's plain data."""
    return digest({key: value for key, value in data.items() if key not in ("seal", "reference")})
