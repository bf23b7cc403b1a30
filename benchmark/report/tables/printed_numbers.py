"""Numbers that the papers print, with their known errata. Data, not code: `results/reported/*.csv`."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Reported:
    """One printed number, such as CLAR's Table I, DP3, easy: 79.2 success_percent."""

    paper: str
    table: str
    method: str
    column: str
    value: float
    unit: str
    note: str


@dataclass(frozen=True)
class Erratum:
    """What is known to be odd about a printed table, row (`method`) or cell (`method` and `column`)."""

    paper: str
    table: str
    method: str
    column: str
    text: str


def folder() -> Path:
    """`results/reported` of the checkout, or the copy inside an installed wheel."""
    here = Path(__file__).resolve().parents[2]
    for candidate in (here.parent / "results" / "reported", here / "reported"):
        if candidate.is_dir():
            return candidate
    raise FileNotFoundError(f"no results/reported beside {here}; the installation is incomplete")


@cache
def reported(paper: str, table: str) -> tuple[Reported, ...]:
    """All printed numbers of one table, in its order."""
    rows = []
    for file in sorted(folder().glob(f"{paper}-*.csv")):
        with file.open(newline="") as handle:
            for row in csv.DictReader(handle):
                value: Any = float(row.pop("value"))
                rows.append(Reported(value=value, **row))
    return tuple(row for row in rows if row.table == table)


@cache
def errata(paper: str, table: str) -> tuple[Erratum, ...]:
    with (folder() / "errata.csv").open(newline="") as handle:
        rows = [Erratum(**row) for row in csv.DictReader(handle)]
    return tuple(row for row in rows if (row.paper, row.table) == (paper, table))
