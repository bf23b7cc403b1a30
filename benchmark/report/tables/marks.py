"""What the marks in a table's cells mean, for forms that are read without the page around them: CSV and JSON."""

from __future__ import annotations

import re

from benchmark.report.tables.table import Table

MEANINGS = {
    "†": (r"†", "mean over the tasks run so far (tasks/all); not comparable with the reported mean"),
    "best*": (r"best\*", "maximum over the evaluations, the papers' number, which is optimistically biased"),
    "retest": (r"^retest", "the selected checkpoint, re-evaluated on fresh episodes: the number to compare"),
    "last": (r"^last", "the last checkpoint"),
    "reported": (r"^reported$", "the number in the paper, not measured here"),
    "excluded": (r"^excluded$", "a record made under other conditions than the table's, in no average; see notes"),
    "not run": (r"^not run$", "no record of it is here"),
    "–": (r"^–$", "there is no such number"),
    "[low, high]": (r"\[[+-]?[\d.]+, [+-]?[\d.]+\]", "95 % interval; notes say of what"),
    "untrained": (r" untrained", "the encoder's weights are random"),
    "random teacher": (r" random teacher", "pre-trained by a teacher whose weights are random"),
    "(reference)": (r"\(reference\)", "this project's own records (results/measured)"),
    "(partly reference)": (r"\(partly reference\)", "some of the records are this project's own (results/measured)"),
    "errors only": (r"^errors only$", "no episode could be run"),
}
"""Mark -> where it stands in a cell or a column's name, and its meaning."""


def marks(table: Table) -> dict[str, str]:
    """Mark -> meaning, of those that are in the table; (1), (2), ... are its notes'."""
    texts = {text for row in (table.columns, *table.rows) for text in row}
    found = {
        mark: meaning for mark, (where, meaning) in MEANINGS.items() if any(re.search(where, text) for text in texts)
    }
    for note in table.notes:
        number = re.match(r"\(\d+\)", note)
        if number:
            found[number[0]] = note[number.end() :].strip()
    if table.bold:
        said = [note.partition(":")[2].strip() for note in table.notes if note.startswith("bold:")]
        found["bold"] = said[0] if said else "stands out"
    return found


def about(table: Table) -> dict[str, object]:
    """What has to be known to read the numbers, for `--json`: title, suite, protocol, departures, marks, notes."""
    return {
        "title": table.title,
        "suite": table.suite,
        "protocol": table.protocol,
        "departs_from_paper": list(table.departs),
        "marks": marks(table),
        "notes": list(table.notes),
    }


def as_data(table: Table) -> dict[str, object]:
    """The table for `--json`."""
    cells = {
        "columns": table.columns,
        "rows": table.rows,
        "rules": sorted(table.rules),
        "bold": sorted(table.bold),
        "text_columns": table.text_columns,
    }
    return {**about(table), **cells}
