"""Any table of the two papers whose suite cannot be run yet: what is reported, and "not run" beside it."""

from __future__ import annotations

from benchmark.report.tables.measured_cells import MISSING
from benchmark.report.tables.printed_numbers import errata, reported
from benchmark.report.tables.table import Table
from benchmark.system.errors import ConfigError

ROMAN = {1: "I", 2: "II", 3: "III", 4: "IV", 5: "V"}
PAPERS = {"clar": (1, 2, 3, 4, 5), "clamp": (1, 2, 3, 4)}
NEEDS = {("clamp", 2): "a robot"}
UNITS = {
    "success_percent": "success in %",
    "successes_of_10": "successes of 10",
    "difference_points": "difference in points",
}


def check_number(paper: str, number: int) -> None:
    """Raises `ConfigError` for a table that the paper does not have."""
    if paper not in PAPERS:
        raise ConfigError(f"--paper {paper} is none of {', '.join(PAPERS)}")
    if number not in PAPERS[paper]:
        raise ConfigError(f"{paper} has no table {number}; it has {', '.join(map(str, PAPERS[paper]))}")


def printed_table(paper: str, number: int) -> Table:
    """Rows and columns in the paper's order; a cell that the paper leaves empty is a dash."""
    name = f"Table {ROMAN[number]}"
    values = reported(paper, name)
    columns, methods = (list(dict.fromkeys(getattr(v, key) for v in values)) for key in ("column", "method"))
    by_cell = {(v.method, v.column): v for v in values}
    notes, marks = [], {}
    for mark, erratum in enumerate(errata(paper, name), start=1):
        marks[erratum.method, erratum.column] = f" ({mark})"
        notes.append(f"({mark}) {erratum.text}.")
    rows = []
    for method in methods:
        cells = [
            f"{by_cell[method, c].value:g}{marks.get((method, c), '')}" if (method, c) in by_cell else "–"
            for c in columns
        ]
        rows.append((method + marks.get((method, ""), ""), "reported", *cells))
        rows.append(("", "retest", *[MISSING] * len(columns)))
    unit = UNITS.get(values[0].unit, values[0].unit)
    notes.append(f"not run: needs {NEEDS[paper, number]}.")
    title = f"{paper.upper()} {name}, {unit}"
    rules = frozenset(range(2, len(rows), 2))
    return Table(title, ("method", "number", *columns), tuple(rows), tuple(notes), rules, text_columns=2)
