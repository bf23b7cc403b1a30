"""Where weight files are looked for: `runtime.weights_dir`, $BENCH_WEIGHTS or ~/.cache/repbench/weights.

Imports no torch: `bench list` says which weights are here.
"""

from __future__ import annotations

import os
from pathlib import Path

from envs.files import why_no_file
from envs.names import expanded
from methods.card import WeightFile
from methods.errors import BadWeights

_latest: list[Path] = []


def latest_folder() -> Path:
    """What `weights_folder` gave last: descriptions of models are looked for beside their weights."""
    return _latest[-1] if _latest else weights_folder()


def weights_folder(folder: str | Path | None = None) -> Path:
    """Raises `BadWeights` if there is something else than a folder."""
    chosen = folder or os.environ.get("BENCH_WEIGHTS")
    found = expanded(chosen) if chosen else Path.home() / ".cache" / "repbench" / "weights"
    wrong = why_no_file(found) or "is a file"
    if wrong not in ("is a folder", "is not there"):
        raise BadWeights(f"the folder of weights, {found}, {wrong}; choose one with runtime.weights_dir or --dir")
    _latest[:] = [found]
    return found


def locate(method: str, file: WeightFile, folder: Path) -> Path:
    """folder/METHOD/FILE, or folder/FILE where somebody brought it without the method's folder. method: as on its card.

    A file whose sha256 is published is also taken from another method's folder: CLIP's serves three.
    """
    own = folder / method / file.filename
    others = sorted(folder.glob(f"*/{file.filename}")) if file.sha256 and folder.is_dir() else []
    return next((path for path in (own, folder / file.filename, *others) if not why_no_file(path)), own)
