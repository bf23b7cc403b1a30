"""How episodes really began, where a seed does not say it: a file beside a record, one array for each episode.

Only a simulator with `not_replayable` has one (`envs.base.Env`). Nothing replays these states; they let a doubter see
which scenes were played, and whether two records of the same seeds met the same ones.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.system.files import write_atomically

if TYPE_CHECKING:
    import numpy as np


def beginnings_file(record: Path) -> Path:
    """Of the retest: (D,) float64 by the episode's seed."""
    return record.with_suffix(".beginnings.npz")


def write_beginnings(path: Path, states: Mapping[str, np.ndarray]) -> None:
    import numpy as np

    buffer, arrays = io.BytesIO(), dict[str, Any](states)
    np.savez_compressed(buffer, **arrays)
    write_atomically(path, lambda file: file.write(buffer.getbuffer()))


def not_replayable_facts(why: str, states: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """`replay`, for a record's provenance: that its episodes cannot be played again, why, and a hash of how they began.
    {} of a simulator whose can."""
    if not why:
        return {}
    digest = hashlib.sha256()
    for name in sorted(states):
        digest.update(f"{name}|{states[name].shape}".encode() + states[name].tobytes())
    return {"replay": {"replayable": False, "why": why, "beginnings": digest.hexdigest() if states else None}}
