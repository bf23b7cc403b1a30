"""Frames to pre-train on: what cameras saw at some moments of some trajectories, whoever recorded them."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from methods.objective import Row

CLOUD = ("points", "points_valid")
PICTURE = ("rgb", "depth", "intrinsics", "extrinsics")
"""What contrast and alignment need beside the cloud."""
VIEWS = ("views", "views_valid")
"""Virtual images of the cloud; with them come past actions and what a text says of the moment."""


@dataclass(frozen=True, eq=False)
class Shard:
    """n frames of one kind: one task or scene under one camera (or several cameras, whose clouds are fused).

    instructions: (n,), one for each frame. fields: read-only (n, ...) arrays as `envs.spec` describes them, with V
        cameras where they are images; they may be memory maps. trajectories: (n,) names; frames of one name are
        near-copies of each other.
    held_out: (n,) bool, never trained on. key: changes with everything that decides what is in the fields.
    """

    source: str
    task: str
    instructions: tuple[str, ...]
    fields: Mapping[str, np.ndarray]
    trajectories: tuple[str, ...]
    held_out: np.ndarray
    key: str
    licence: str

    def __len__(self) -> int:
        return len(self.trajectories)


@dataclass(frozen=True)
class Frames:
    """All shards with one number for each frame, and each source's share of a batch."""

    shards: tuple[Shard, ...]
    weights: Mapping[str, float]

    def __post_init__(self) -> None:
        if not self.shards:
            raise ValueError("no frames")

    @functools.cached_property
    def _ends(self) -> np.ndarray:
        return np.cumsum([len(shard) for shard in self.shards])

    def __len__(self) -> int:
        return int(self._ends[-1])

    @property
    def content_hash(self) -> str:
        facts = [[s.source, s.key, dict(self.weights)[s.source]] for s in self.shards]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()

    def place(self, frame: int) -> tuple[Shard, int]:
        """The shard of a frame and its row there."""
        number = int(np.searchsorted(self._ends, frame, side="right"))
        first = int(self._ends[number - 1]) if number else 0
        return self.shards[number], frame - first

    def rows(self, held_out: bool) -> np.ndarray:
        """Numbers of the frames to train on, or of those that are held out."""
        chosen = np.concatenate([shard.held_out for shard in self.shards])
        return np.flatnonzero(chosen == held_out)

    def training(self) -> Iterator[Row]:
        """The frames to train on, one by one."""
        for number in self.rows(held_out=False):
            shard, at = self.place(int(number))
            yield Row(shard.fields, at, shard.instructions[at])

    def gather(self, rows: Sequence[int], fields: Sequence[str]) -> dict[str, np.ndarray]:
        """These fields of these frames, stacked (B, ...)."""
        places = [self.place(int(row)) for row in rows]
        return {name: np.stack([shard.fields[name][at] for shard, at in places]) for name in fields}

    def instructions(self, rows: Sequence[int]) -> list[str]:
        return [shard.instructions[at] for shard, at in (self.place(int(row)) for row in rows)]

    def sentences(self) -> list[str]:
        """Every instruction once, in the order of their numbers."""
        return sorted({sentence for shard in self.shards for sentence in shard.instructions})

    def tasks(self) -> list[str]:
        return sorted({shard.task for shard in self.shards})

    def summary(self) -> dict[str, Any]:
        """For a checkpoint's card: how much of what, under which licences."""
        found: dict[str, Any] = {}
        for shard in self.shards:
            facts = found.setdefault(
                shard.source, {"frames": 0, "held_out": 0, "trajectories": set(), "tasks": set(), "licences": set()}
            )
            facts["frames"] += len(shard)
            facts["held_out"] += int(shard.held_out.sum())
            facts["trajectories"] |= set(shard.trajectories)
            facts["tasks"].add(shard.task)
            facts["licences"].add(shard.licence)
        for facts in found.values():
            facts["trajectories"] = len(facts["trajectories"])
            facts["tasks"], facts["licences"] = sorted(facts["tasks"]), sorted(facts["licences"])
        return found
