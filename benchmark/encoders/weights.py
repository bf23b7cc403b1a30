"""`bench weights`: what an encoder needs, its licence, and whether it is here."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from baselines.hub import hf_models
from benchmark.encoders.certificates import distinct_methods
from benchmark.encoders.download import announce, fetch
from benchmark.report.tables.table import Table
from benchmark.settings.catalog import whole_policies
from benchmark.system.progress import say
from envs.files import why_no_file
from methods import text
from methods.card import MethodCard
from methods.clamp import tokens
from methods.clar import teacher
from methods.errors import BadWeights
from methods.registry import class_of
from methods.weight_places import locate
from methods.weights import check, sha256

EXTRA = {card.name: card for card in (text.CARD, teacher.CARD, tokens.CARD)}
"""What needs weight files and is no representation."""


def weights_report(names: Sequence[str], folder: Path, fetch_missing: bool) -> list[dict[str, Any]]:
    """One row for each weight file of the named methods, or of all; fetches what is missing if asked."""
    rows = []
    policies = [card.name for card in whole_policies() if card.weights]
    for name in names or [*distinct_methods(), *policies, *EXTRA]:
        if fetch_missing and name.startswith("hf:"):
            _fetch_descriptions(name)
        card = EXTRA.get(name) or class_of(name).card
        if not card.weights and names:
            say(f"{card.name} is trained from scratch and needs no weights")
        for file in card.weights:
            path = locate(card.name, file, folder)
            if fetch_missing and why_no_file(path):
                if file.url is None:
                    say(f"{card.name}: {file.licence}; give your own with --weights FILE")
                else:
                    announce(card.name, file)
                    fetch(file, path)
            rows.append(
                {
                    "method": card.name,
                    "file": file.filename,
                    "url": file.url,
                    "licence": file.licence,
                    "non_commercial": file.non_commercial,
                    "path": str(path),
                    "published_sha256": file.sha256,
                    "note": file.note,
                    **_status(path, card, file),
                }
            )
    return rows


def _fetch_descriptions(name: str) -> None:
    """Of a repository the files that say what its model is: without them there is no card."""
    for file in hf_models.files(name.removeprefix("hf:"))[:-1]:
        path = hf_models.folder_of(name.removeprefix("hf:")) / file.filename
        if why_no_file(path):
            announce(name, file)
            fetch(file, path)


def _status(path: Path, card: MethodCard, file: Any) -> dict[str, Any]:
    if why_no_file(path):
        return {"status": "not published" if file.url is None else "absent", "bytes": file.size, "sha256": file.sha256}
    try:
        check(path, file)
    except BadWeights as error:
        return {"status": f"bad: {error}", "bytes": path.stat().st_size, "sha256": sha256(path)}
    how = "verified" if file.sha256 else "here, unverified"
    return {"status": how, "bytes": path.stat().st_size, "sha256": sha256(path)}


def weights_table(rows: Sequence[dict[str, Any]], folder: Path) -> Table:
    cells = []
    for row in rows:
        size = f"{row['bytes'] / 1e6:,.0f} MB" if row["bytes"] else "–"
        cells.append(
            (
                row["method"],
                row["file"],
                row["status"],
                row["licence"],
                (row["sha256"] or "not stated")[:12],
                size,
            )
        )
    notes = [f"folder: {folder} (choose with --dir, runtime.weights_dir or $BENCH_WEIGHTS)"]
    notes += sorted({f"{row['method']}: {row['url']}" for row in rows if row["status"] == "absent"})
    if any(row["non_commercial"] for row in rows):
        notes.append("CC-BY-NC weights may not be used commercially.")
    columns = ("method", "file", "status", "licence", "sha256", "size")
    return Table("Weights", columns, tuple(cells), tuple(notes), text_columns=5)
