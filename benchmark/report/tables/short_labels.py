"""Long names of protocols, which stand below a table and not in every row."""

from __future__ import annotations

from collections.abc import Iterable

from benchmark.settings.labels import base_of

LONG = 24
"""Characters."""


def short_labels(protocols: Iterable[str]) -> dict[str, str]:
    """Of each long name, once, what stands in its place: `quick+ (1)`."""
    long = dict.fromkeys(name for name in protocols if len(name) > LONG)
    return {name: f"{base_of(name)}+ ({number})" for number, name in enumerate(long, start=1)}


def said_below(short: dict[str, str]) -> list[str]:
    return [f"{mark}: protocol {label}." for label, mark in short.items()]
