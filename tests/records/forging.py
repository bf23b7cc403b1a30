"""Records that are forged as well as somebody can who knows every line of this project: all hashes are made anew."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmark.records.hash_chain import before_retest, first_link, next_link
from benchmark.records.read import evaluation_from
from benchmark.records.write import seal_of
from benchmark.system.digest import digest

Change = Callable[[dict[str, Any]], Any]


def edit(path: Path, change: Change) -> None:
    """Change the file and nothing else, as with a text editor."""
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))


def forge(path: Path, change: Change, to: Path | None = None) -> Path:
    """Change the record, count again, and make identity hash, chain and seal anew; write it to `to`."""
    data = json.loads(path.read_text())
    change(data)
    data["identity_hash"] = digest(data["identity"])
    before = first_link(data["identity_hash"], data["demo_hash"])
    for part in (*data["evaluations"], data["retest"]):
        rows = part["episodes"]
        errors = sum(row[3] is not None for row in rows)
        part["tally"] = {"k": sum(row[1] for row in rows), "n": len(rows) - errors, "errors": errors}
        what = "evaluation"
        if part is data["retest"]:
            what, before = "retest", before_retest(before, data["fingerprint"], data["provenance"]["git"]["commit"])
        before = part["link"] = next_link(before, evaluation_from(part), what)
    data["seal"] = seal_of(data)
    target = to or path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(data))
    return target


def make_success(part: dict[str, Any], number: int = 0) -> None:
    """Of the `number`-th failure of an evaluation."""
    row = [row for row in part["episodes"] if not row[1]][number]
    row[1] = 1


def without_hashes(data: dict[str, Any]) -> None:
    """As if the record were from before there were chains and seals."""
    for part in (*data["evaluations"], data["retest"]):
        for name in ("checkpoint", "actions", "link"):
            part[name] = None
    data["seal"] = ""
