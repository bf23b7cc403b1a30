"""Where demonstrations are that were not collected here, but imported from files of somebody else's."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from benchmark.data.demos import FORMAT
from benchmark.settings.protocol import Protocol
from envs.spec import ObservationRequest


def imported_path(root: Path, suite: str, task: str, protocol: Protocol, stored: ObservationRequest) -> Path:
    """The file of a task's imported demonstrations. Where it is there, they are learned from, and none are collected.

    Its name does not depend on any simulator's version: they come from none of those that are here. stored: what is
    seen in them. protocol: with the task's own rules.
    """
    facts = [FORMAT, "imported", suite, task, protocol.train_demos, protocol.valid_demos, stored.canonical()]
    key = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:8]
    return root / "demos" / suite / f"{task}-imported-{key}.hdf5"


def is_imported(path: Path) -> bool:
    return "-imported-" in path.name
