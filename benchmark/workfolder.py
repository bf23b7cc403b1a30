"""What a cell has finished before its record: checkpoints, evaluations, and the seconds they took."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Collection
from pathlib import Path
from typing import Any

from benchmark.protocol import Protocol
from benchmark.report.record import Evaluation, Tally
from benchmark.storage import write_json
from benchmark.train import Trainer

SAVE_EVERY = 300.0
"""Seconds of training after which it is saved between two evaluations as well."""


class OtherSettings(RuntimeError):
    """A record or half-finished work of other settings is where this cell's would go. detail: lines that show it."""

    def __init__(self, message: str, detail: str = "") -> None:
        super().__init__(message)
        self.detail = detail


class WorkFolder:
    """`epoch-0010.pt` for every evaluation, at most one `resume-0013.pt`, and `progress.json`.

    Raises `OtherSettings` if there is progress of another identity.
    """

    def __init__(self, path: Path, identity: str, protocol: Protocol, known_as: Collection[str] = ()) -> None:
        """known_as: further hashes of the same identity, in an earlier schema."""
        self.path, self.identity, self.protocol = path, identity, protocol
        self._known_as = {identity, *known_as}
        self.evaluations: list[Evaluation] = []
        self.timings: dict[str, float] = {}
        self._saved = time.monotonic()
        self._read()

    def checkpoint(self, epoch: int) -> Path:
        return self.path / f"epoch-{epoch:04d}.pt"

    def save(self, trainer: Trainer) -> None:
        """At an evaluation: this checkpoint stays until the record is there."""
        trainer.save(self.checkpoint(trainer.epoch), self.identity)
        self._drop_resume(self.path.glob("resume-*.pt"))

    def save_now_and_then(self, trainer: Trainer) -> None:
        """After any epoch: what is lost to a kill is minutes, however long ten epochs take."""
        if time.monotonic() - self._saved < SAVE_EVERY or trainer.epoch in self.protocol.evaluation_epochs:
            return
        before = list(self.path.glob("resume-*.pt"))
        trainer.save(self.path / f"resume-{trainer.epoch:04d}.pt", self.identity)
        self._drop_resume(before)

    def newest(self) -> Path | None:
        """Where training goes on. Between two evaluations only if nothing before it waits to be evaluated."""
        found = list(self.path.glob("epoch-*.pt"))
        for file in self.path.glob("resume-*.pt"):
            passed = [epoch for epoch in self.protocol.evaluation_epochs if epoch < _epoch(file)]
            if len(self.evaluations) == len(passed):
                found.append(file)
        return max(found, key=_epoch, default=None)

    def write(self) -> None:
        data: dict[str, Any] = {"identity": self.identity, "timings": self.timings}
        data["evaluations"] = [dataclasses.asdict(evaluation) for evaluation in self.evaluations]
        write_json(self.path / "progress.json", data)

    def _read(self) -> None:
        file = self.path / "progress.json"
        if not file.exists():
            return
        data = json.loads(file.read_text())
        if data["identity"] not in self._known_as:
            raise OtherSettings(
                f"{self.path} holds half-finished work of other settings. Use --overwrite to drop it or --out DIR"
            )
        self.timings = data["timings"]
        self.evaluations = [
            Evaluation(
                e["epoch"], Tally(**e["tally"]), tuple(map(tuple, e["episodes"])), e["train_loss"], e["valid_loss"]
            )
            for e in data["evaluations"]
        ]

    def _drop_resume(self, files: Any) -> None:
        for file in files:
            file.unlink(missing_ok=True)
        self._saved = time.monotonic()


def _epoch(file: Path) -> int:
    return int(file.stem.rpartition("-")[2])
