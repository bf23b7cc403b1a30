"""What a settings dataclass contributes to the name of a number, by one rule."""

from __future__ import annotations

import dataclasses
from typing import Any


def later(default: Any) -> Any:
    """A field that was added after numbers had been named without it (schema 2 of the records).

    It stays out of names while it has its default, so that adding it disowns no number that was made before; with any
    other value it is part of them. Its default must mean exactly what was done before the field was there.
    """
    return dataclasses.field(default=default, metadata={"later": True})


def named_by(data: Any) -> dict[str, Any]:
    """The fields of a dataclass as plain data, without `later` ones that have their default."""
    absent = left_out(data)
    return {name: value for name, value in dataclasses.asdict(data).items() if name not in absent}


def left_out(data: Any) -> set[str]:
    """Names of a dataclass's `later` fields that have their default."""
    return {
        field.name
        for field in dataclasses.fields(data)
        if field.metadata.get("later") and getattr(data, field.name) == field.default
    }


def added(kind: type) -> dict[str, Any]:
    """A dataclass's `later` fields with their defaults: what older records, which do not name them, were made with."""
    return {field.name: field.default for field in dataclasses.fields(kind) if field.metadata.get("later")}
