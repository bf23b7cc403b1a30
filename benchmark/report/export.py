"""Records as flat rows for others' tools: one row a cell, plain columns, nothing averaged."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmark.records.flat_rows import counts, facts, names, order
from benchmark.records.record import Record
from benchmark.report.statistics.intervals import wilson
from benchmark.report.tables.clar_1 import cells_table
from benchmark.report.tables.forms import csv_cell, render
from benchmark.report.tables.protocol_note import departure
from benchmark.system.errors import ConfigError
from benchmark.system.files import write_atomically

FORMATS = ("csv", "parquet", "latex", "leaderboard-json")
TITLE = (
    "Success rates of manipulation policies, cell by cell. value = k / n of the selected checkpoint on fresh seeds; "
    "ci95: Wilson's interval of these rollouts alone"
)


COLUMNS = (
    "suite",
    "protocol",
    "task",
    "method",
    "head",
    "seed",
    "departs_from_paper",
    "reference",
    "conditions",
    "reported_as",
    "kind",
    "training",
    "untrained",
    "random_teacher",
    "retest_k",
    "retest_n",
    "retest_rate",
    "retest_low",
    "retest_high",
    "best_k",
    "best_n",
    "last_k",
    "last_n",
    "errors",
    "failed_actions",
    "selected_epoch",
    "optimizer_steps",
    "parameters_encoder",
    "parameters_trained",
    "seconds",
    "success_rule",
    "horizon",
    "demo_hash",
    "identity_hash",
    "fingerprint",
    "commit",
)
"""`kind` is the method's, as its card says."""


def rows(records: Sequence[Record]) -> list[dict[str, Any]]:
    """Sorted by suite, protocol, task, method, head and seed. Rates in 0..1; low and high are Wilson's 95 %."""
    ordered = sorted(records, key=order)
    return [_row(record) for record in ordered]


def _row(r: Record) -> dict[str, Any]:
    test = r.retest.tally
    low, high = wilson(test.k, test.n)
    known = (
        names(r)
        | counts(r)
        | facts(r)
        | {
            "departs_from_paper": " ".join(departure(r.protocol, records=[r])),
            "selected_epoch": r.selected_epoch,
            "retest_rate": test.rate if test.n else None,
            "retest_low": low,
            "retest_high": high,
        }
    )
    known["kind"] = known["method_kind"]
    return {column: known[column] for column in COLUMNS}


def export(records: Sequence[Record], form: str, to: Path) -> Path:
    """Write `to`. Raises `ConfigError` for another format, or where the package for one is not here."""
    if form not in FORMATS:
        raise ConfigError(f"--format {form} is none of {', '.join(FORMATS)}")
    made = rows(records)
    if form == "csv":
        text = io.StringIO()
        writer = csv.DictWriter(text, list(made[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows({k: csv_cell(v) if isinstance(v, str) else v for k, v in row.items()} for row in made)
        data = text.getvalue().encode()
    elif form == "latex":
        data = render(cells_table(records), "latex").encode()
    elif form == "leaderboard-json":
        data = (json.dumps(leaderboard(made), indent=1, sort_keys=True, allow_nan=False) + "\n").encode()
    else:
        data = _parquet(made)
    write_atomically(to, lambda file: file.write(data))
    return to


def leaderboard(made: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Entries by suite and protocol: each method under each head and one set of conditions, with its tasks' rates, one
    for each training seed. Records that differ in anything but task and seed are never in one entry; runs of a task
    whose `demo_hash` differs have learned from other demonstrations.

    Only what was run is there; who averages has to decide what to do about what was not.
    """
    boards: dict[str, dict[tuple[str, ...], dict[str, Any]]] = {}
    departs: dict[str, str] = {}
    for row in made:
        departs[f"{row['suite']}/{row['protocol']}"] = row["departs_from_paper"]
        board = boards.setdefault(f"{row['suite']}/{row['protocol']}", {})
        entry = board.setdefault(
            (row["method"], row["head"], row["conditions"]),
            {
                "method": row["method"],
                "head": row["head"],
                "conditions": row["conditions"],
                "untrained": row["untrained"],
                "random_teacher": row["random_teacher"],
                "metric": "success_rate of the selected checkpoint on fresh seeds",
                "tasks": {},
            },
        )
        runs = entry["tasks"].setdefault(row["task"], [])
        runs.append(
            {
                "seed": row["seed"],
                "value": row["retest_rate"],
                "k": row["retest_k"],
                "n": row["retest_n"],
                "ci95": [row["retest_low"], row["retest_high"]],
                "reference": row["reference"],
                "identity_hash": row["identity_hash"],
                "demo_hash": row["demo_hash"],
            }
        )
    return {
        "format": 1,
        "title": TITLE,
        "boards": [
            {"board": name, "departs_from_paper": departs[name], "entries": list(entries.values())}
            for name, entries in sorted(boards.items())
        ],
    }


def _parquet(made: Sequence[dict[str, Any]]) -> bytes:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise ConfigError(
            "--format parquet needs pyarrow: python -m pip install pyarrow (csv needs nothing)"
        ) from error
    buffer = io.BytesIO()
    parquet.write_table(pyarrow.Table.from_pylist(list(made)), buffer)
    return buffer.getvalue()
