"""Records as flat rows for others' tools: one row a cell, plain columns, nothing averaged."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmark.errors import ConfigError
from benchmark.report.conditions import pooling_key, reported_as
from benchmark.report.record import Record
from benchmark.report.stats import wilson
from benchmark.report.table import render
from benchmark.report.tables import cells_table
from benchmark.storage import write_atomically

FORMATS = ("csv", "parquet", "latex", "leaderboard-json")


def rows(records: Sequence[Record]) -> list[dict[str, Any]]:
    """Sorted by suite, protocol, task, method, head and seed. Rates in 0..1; low and high are Wilson's 95 %."""
    ordered = sorted(records, key=lambda r: (r.suite, r.protocol, r.task, r.method, r.head, r.seed))
    return [_row(record) for record in ordered]


def _row(r: Record) -> dict[str, Any]:
    test, best, last = r.retest.tally, r.best, r.last
    low, high = wilson(test.k, test.n)
    return {
        "suite": r.suite, "protocol": r.protocol, "task": r.task, "method": r.method, "head": r.head, "seed": r.seed,
        "reference": r.reference, "conditions": pooling_key(r), "reported_as": reported_as(r),
        "kind": r.card.get("kind"), "training": r.card.get("training"),
        "untrained": bool(r.weights.get("untrained")),
        "random_teacher": bool(r.weights.get("pretraining", {}).get("untrained_teacher")),
        "retest_k": test.k, "retest_n": test.n, "retest_rate": test.k / test.n if test.n else None,
        "retest_low": low, "retest_high": high, "best_k": best.k, "best_n": best.n, "last_k": last.k, "last_n": last.n,
        "errors": r.errors, "selected_epoch": r.selected_epoch, "optimizer_steps": r.training.get("optimizer_steps"),
        "parameters_encoder": r.training.get("parameters_encoder"),
        "parameters_trained": r.training.get("parameters_trained"), "seconds": sum(r.timings.values()),
        "success_rule": r.success_rule, "horizon": r.horizon, "demo_hash": r.demo_hash,
        "identity_hash": r.identity_hash, "fingerprint": r.fingerprint,
        "commit": (r.provenance.get("git") or {}).get("commit"),
    }  # fmt: skip


def export(records: Sequence[Record], form: str, to: Path) -> Path:
    """Write `to`. Raises `ConfigError` for another format, or where the package for one is not here."""
    if form not in FORMATS:
        raise ConfigError(f"--format {form} is none of {', '.join(FORMATS)}")
    made = rows(records)
    if form == "csv":
        text = io.StringIO()
        writer = csv.DictWriter(text, list(made[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(made)
        data = text.getvalue().encode()
    elif form == "latex":
        data = render(cells_table(records), "latex").encode()
    elif form == "leaderboard-json":
        data = (json.dumps(leaderboard(made), indent=1, sort_keys=True) + "\n").encode()
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
    for row in made:
        board = boards.setdefault(f"{row['suite']}/{row['protocol']}", {})
        entry = board.setdefault((row["method"], row["head"], row["conditions"]), {
            "method": row["method"], "head": row["head"], "conditions": row["conditions"],
            "untrained": row["untrained"], "random_teacher": row["random_teacher"],
            "metric": "success_rate of the selected checkpoint on fresh seeds",
            "tasks": {},
        })  # fmt: skip
        runs = entry["tasks"].setdefault(row["task"], [])
        runs.append({
            "seed": row["seed"], "value": row["retest_rate"], "k": row["retest_k"], "n": row["retest_n"],
            "ci95": [row["retest_low"], row["retest_high"]], "reference": row["reference"],
            "identity_hash": row["identity_hash"], "demo_hash": row["demo_hash"],
        })  # fmt: skip
    return {
        "format": 1,
        "boards": [{"board": name, "entries": list(entries.values())} for name, entries in sorted(boards.items())],
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
