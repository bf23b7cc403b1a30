"""The record: one JSON file for each finished cell. Its path is its identity.

A record is believed only as far as it agrees with itself: `read` refuses one whose parts contradict each other
(`benchmark.records.consistency`), and whoever asks gets one sentence that says why.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from benchmark.settings.seeds import parts
from benchmark.settings.task_rules import horizon_of

SCHEMA = 2


@dataclass(frozen=True)
class Tally:
    """Counts of one set of rollouts. n leaves out episodes that could not be run (errors)."""

    k: int
    n: int
    errors: int

    @property
    def rate(self) -> float:
        return self.k / self.n if self.n else float("nan")


Row = tuple[int, int, int, str | None]
"""[seed, success 0/1, steps, error or null] of an episode."""


@dataclass(frozen=True)
class Evaluation:
    """Rollouts of one checkpoint, in the order of the seeds.

    checkpoint: hash of the weights that were played. actions: hash of what was sent to the simulator. link: of all this
    and of the evaluations before it (`benchmark.records.hash_chain`). None in records from before there were hashes.
    ended: (seed, why) of each episode that the simulator ended, by an action that failed or for another reason of its
    own, before time or success did; its outcome is in its row.
    """

    epoch: int
    tally: Tally
    episodes: tuple[Row, ...]
    train_loss: float | None = None
    valid_loss: float | None = None
    checkpoint: str | None = None
    actions: str | None = None
    link: str | None = None
    ended: tuple[tuple[int, str], ...] = ()

    @property
    def failed_actions(self) -> int:
        """Episodes that were ended without success. They are failures, and so counted in n."""
        ended = {seed for seed, _ in self.ended}
        return sum(not success and seed in ended for seed, success, _, _ in self.episodes)

    def plain(self) -> dict[str, Any]:
        """For JSON. What came later is left out where there is none, so that other files stay as they were."""
        data = dataclasses.asdict(self)
        if not self.ended:
            del data["ended"]
        return data


@dataclass(frozen=True)
class Record:
    """All that a table or an audit needs to know about one cell.

    identity: the settings a number depends on; identity_hash names them. Which records may be averaged is decided in
        `benchmark.report.comparisons.comparable`. weights: `files` (name -> sha256) and `untrained` (random weights
        where the card names some). timings (seconds by phase) and provenance are facts about the run, not part of the
        result.
    env: the simulator, as the suite names it: a registered name or `path/to/file.py:Class`.
    success_rule, horizon: of its task; of a joint policy's tasks `mixed` where they differ, and the longest. demos:
        `train`, `valid`, `attempts`, and `train_lengths` where not all training demonstrations go to the horizon.
    migrated: of a record that an earlier version wrote, its `schema` and `identity_hash` there, and `unknown`: what it
        cannot say, in words. Empty for a record as this version writes it.
    seal: hash of all the rest of the file, so that damage and edits are seen; empty in records from before it.
    reference: it is one of this project's own records, shown beside a user's. Said by who reads it, never in a file.
    """

    schema: int
    suite: str
    task: str
    method: str
    head: str
    seed: int
    protocol: str
    identity: dict[str, Any]
    identity_hash: str
    card: dict[str, Any]
    success_rule: str
    horizon: int
    demo_hash: str
    demos: dict[str, Any]
    training: dict[str, Any]
    evaluations: tuple[Evaluation, ...]
    selected_epoch: int
    retest: Evaluation
    frozen: dict[str, Any]
    weights: dict[str, Any]
    fingerprint: str
    provenance: dict[str, Any]
    timings: dict[str, float]
    env: str
    migrated: dict[str, Any] = field(default_factory=dict)
    seal: str = ""
    reference: bool = False

    @property
    def made_as(self) -> str:
        """The identity's hash when the record was made, before any migration."""
        return self.migrated.get("identity_hash", self.identity_hash)

    @property
    def hashes(self) -> set[str]:
        """Under which hashes this record is known: its own, and the one it had in an earlier schema."""
        return {self.identity_hash, self.made_as}

    @property
    def best(self) -> Tally:
        """The evaluation of the checkpoint that was re-evaluated. Where it was selected this is the paper's number: the
        maximum over evaluations, which is optimistically biased, so tables print a star."""
        return next(e.tally for e in self.evaluations if e.epoch == self.selected_epoch)

    @property
    def selects(self) -> bool:
        """Whether the checkpoint was chosen by its evaluation; else it is the last one (`protocol.select=final`)."""
        return self.identity.get("protocol", {}).get("select") != "final"

    @property
    def last(self) -> Tally:
        return self.evaluations[-1].tally

    @property
    def errors(self) -> int:
        return self.retest.tally.errors + sum(e.tally.errors for e in self.evaluations)

    @property
    def failed_actions(self) -> int:
        """Episodes of all evaluations and the retest that an action ended which failed."""
        return self.retest.failed_actions + sum(e.failed_actions for e in self.evaluations)

    @property
    def longest(self) -> int:
        """Steps of an episode of any task of its policy: what files beside the record may hold."""
        if "protocol" not in self.identity:
            return self.horizon
        return horizon_of(self.identity, parts(self.identity.get("task", self.task)))

    def plain(self) -> dict[str, Any]:
        """For JSON, as `Evaluation.plain`."""
        own = {"evaluations": [e.plain() for e in self.evaluations], "retest": self.retest.plain()}
        return dataclasses.asdict(self) | own
