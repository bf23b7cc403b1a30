"""`bench report`: a folder of pages that open from disk, without a server and without a network.

`index.html` has the papers' tables, the list of all cells and the charts; `cell.html?ID` a cell, whose data is
`cells/ID.js`. Scripts and styles are this package's own; data comes as scripts because a page from disk may read no
other files.
"""

from __future__ import annotations

import html
import json
import math
import os
import shutil
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import Any

from benchmark.report.page import facts
from benchmark.report.tables.forms import render
from benchmark.report.tables.table import Table
from benchmark.system.files import explain

ASSETS = ("style.css", "draw.js", "cloud.js", "index.js", "cell.js")
MARKER = "report.json"
"""Says that a folder is a report, and may be written anew."""


def build(
    placed: facts.Placed,
    tables: Sequence[Table],
    notes: Sequence[str],
    to: Path,
    media: Mapping[str, dict[str, Any]] | None = None,
) -> Path:
    """Write the report into `to` and return its first page.

    placed: records task by task with their paths. notes: what could not be read or filmed. media: of some cells, by
        `facts.slug`.
    """
    claim(to)
    shutil.rmtree(to / "cells", ignore_errors=True)  # of records that may be gone
    groups = facts.groups(placed)
    apart = [f"{group['suite']}, {group['protocol']}: {note}" for group in groups for note in group["apart"]]
    data = {
        "cells": [facts.row(record) for _, record in placed],
        "groups": groups,
        "media": sorted(media or {}),
    }
    for name in ASSETS:
        _write(to / "assets" / name, _asset(name))
    _write(to / "assets" / "data.js", _script("REPORT", data))
    for path, record in placed:
        name = facts.slug(record)
        _write(to / "cells" / f"{name}.js", _script("CELL", facts.cell(record, path, (media or {}).get(name))))
    made = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    protocols = sorted({record.protocol for _, record in placed})
    words = {
        "@TABLES@": "\n".join(render(table, "html") for table in tables),
        "@NOTES@": _list([*notes, *apart]),
        "@MADE@": made,
        "@COUNT@": f"{len(placed):,}",
        "@PROTOCOLS@": html.escape(", ".join(protocols) or "none"),
    }
    page = _asset("index.html")
    for key, value in words.items():
        page = page.replace(key, value)
    _write(to / "index.html", page)
    _write(to / "cell.html", _asset("cell.html"))
    _write(to / MARKER, json.dumps({"made": made, "cells": len(placed)}) + "\n")
    return to / "index.html"


def claim(to: Path) -> None:
    """Make the folder a report's. Raises `FileExistsError` if it is something else's."""
    if to.exists() and (not to.is_dir() or (any(to.iterdir()) and not (to / MARKER).exists())):
        raise FileExistsError(f"{to} is something else than a report; give --to another folder")
    with explain(to):
        to.mkdir(parents=True, exist_ok=True)
    if not (to / MARKER).exists():
        _write(to / MARKER, "{}")


def _asset(name: str) -> str:
    return (resources.files("benchmark.report.page") / "assets" / name).read_text()


def _script(name: str, data: Any) -> str:
    """Data as a script; `<` is written so that no text in it can end the script. What is not finite becomes null."""
    text = json.dumps(_finite(data), separators=(",", ":"), default=str, allow_nan=False).replace("<", "\\u003c")
    return f"window.{name}={text};\n"


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, (list, tuple)) else value


def _list(notes: Sequence[str]) -> str:
    if not notes:
        return ""
    items = "\n".join(f"<li>{html.escape(note)}</li>" for note in notes)
    return f'<section id="left-out"><h2>Excluded</h2><ul>{items}</ul></section>'


def _write(path: Path, text: str) -> None:
    """Whole or not at all. Made again from the records at any time, so there is no fsync for each of thousands."""
    begun = path.with_name(f".{path.name}")
    with explain(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            begun.write_text(text, encoding="utf-8", errors="replace")
            os.replace(begun, path)
        except OSError:
            begun.unlink(missing_ok=True)
            raise
