"""What a cell has finished before its record: checkpoints, evaluations, and the seconds they took."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from benchmark.records.hash_chain import linked, next_link
from benchmark.records.read import evaluation_from
from benchmark.records.record import Evaluation
from benchmark.records.schema import EVALUATION, OddShape, each, fields, mapping, seconds, text
from benchmark.settings.protocol import Protocol
from benchmark.system.checked_json import NotPlain, read_json
from benchmark.system.errors import OtherSettings
from benchmark.system.files import write_json
from benchmark.system.progress import say
from benchmark.training.checkpoint import DamagedCheckpoint, load_checkpoint, played_digest
from benchmark.training.trainer import Trainer

SAVE_EVERY = 300.0
"""Seconds of training after which it is saved between two evaluations as well."""
PROGRESS = fields({"identity": text, "timings": mapping(seconds), "evaluations": each(EVALUATION)})


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

    def actions(self, epoch: int) -> Path:
        """Of the evaluation after `epoch`, where they are kept."""
        return self.path / f"actions-{epoch:04d}.npz"

    def save(self, trainer: Trainer) -> None:
        """At an evaluation: this checkpoint stays until the record is there."""
        trainer.save(self.checkpoint(trainer.epoch), self.identity)
        self._drop(self._files("resume"))

    def keep_alone(self, epoch: int) -> None:
        """Drop checkpoints of earlier evaluations, where nobody plays them."""
        self._drop(file for file in self._files("epoch") if _epoch(file) < epoch)

    def save_now_and_then(self, trainer: Trainer) -> None:
        """After any epoch, or some steps of one: what is lost to a kill is minutes, however long ten epochs take."""
        at_evaluation = trainer.epoch in self.protocol.evaluation_epochs and not trainer.sums.samples
        if time.monotonic() - self._saved < SAVE_EVERY or at_evaluation:
            return
        before = self._files("resume")
        steps = f"-{trainer.steps:09d}" if self.protocol.steps else ""
        trainer.save(self.path / f"resume-{trainer.epoch:04d}{steps}.pt", self.identity)
        self._drop(before)

    def newest(self, played: bool = True) -> Path | None:
        """Where training goes on. Between two evaluations only if nothing before it waits to be evaluated.

        played: False where nothing is ever evaluated.
        """
        found = self._files("epoch")
        for file in self._files("resume"):
            passed = [epoch for epoch in self.protocol.evaluation_epochs if (epoch, 0) < _when(file)]
            if not played or len(self.evaluations) == len(passed):
                found.append(file)
        return max(found, key=_when, default=None)

    def add(self, evaluation: Evaluation) -> None:
        """The next evaluation, chained to those before it."""
        before = self.evaluations[-1].link if self.evaluations else self.first_link
        assert before is not None, "`mend` has seen to it"
        self.evaluations.append(linked(before, evaluation))
        self.write()

    def last_link(self) -> str:
        link = self.evaluations[-1].link
        assert link is not None, "`mend` has seen to it"
        return link

    def mend(self, first: str, wanted: Callable[[int], list[int]]) -> None:
        """Drop what is damaged, so that it is computed again.

        first: the first link of the chain. wanted: the seeds of the episodes of the n-th evaluation. A checkpoint that
        is damaged, or not the one that was evaluated, goes with all that came after it; evaluations that are not
        chained to their checkpoints go, and the checkpoints play them again.
        """
        self.first_link = first
        files = sorted([*self._files("epoch"), *self._files("resume")], key=_when)
        known = {e.epoch: e.checkpoint for e in self.evaluations}
        there = {_epoch(file) for file in self._files("epoch")}
        bad: dict[int, str] = {e: f"{self.checkpoint(e)} is gone" for e in known if e not in there}
        for file in files:
            wrong = self._wrong(file, known)
            if wrong:
                bad[_epoch(file)] = wrong
                break
        if bad:
            epoch = min(bad)
            say(f"{bad[epoch]}: what was trained from there on is computed again")
            self._drop(file for file in files if _epoch(file) >= epoch)
            self.evaluations[:] = [e for e in self.evaluations if e.epoch < epoch]
        before, kept = first, []
        for number, evaluation in enumerate(self.evaluations):
            whole = evaluation.checkpoint is not None and evaluation.link == next_link(before, evaluation)
            if evaluation.link is None:
                say("the evaluations are from a version that kept no hashes of them, and are played again")
                break
            if not whole or [row[0] for row in evaluation.episodes] != wanted(number):
                say(f"the evaluations from epoch {evaluation.epoch} on are not as they were written, and played again")
                break
            kept.append(evaluation)
            before = evaluation.link
        if bad or len(kept) < len(self.evaluations):
            self.evaluations[:] = kept
            self.write()

    def _wrong(self, file: Path, known: Mapping[int, str | None]) -> str | None:
        """Why a checkpoint is not to be used, None if it is. known: hashes of those that were evaluated."""
        try:
            state = load_checkpoint(file)
        except DamagedCheckpoint as error:
            return str(error)
        if state["identity"] not in self._known_as:
            raise OtherSettings(f"{file} is a checkpoint of other settings; remove it, or use --overwrite to drop all")
        if state["epoch"] != _epoch(file):
            return f"{file} is a checkpoint of another epoch"
        if file.name.startswith("epoch-") and known.get(_epoch(file)) not in (None, played_digest(state)):
            return f"{file} is not the checkpoint that was evaluated"
        return None

    def _files(self, kind: str) -> list[Path]:
        """`epoch-0010.pt`, `resume-0013.pt`, `resume-0013-000123400.pt` of steps; not what others have put there."""
        return [
            file
            for file in self.path.glob(f"{kind}-*.pt")
            if re.fullmatch(rf"{kind}-\d{{4,}}(-\d{{9,}})?\.pt", file.name)
        ]

    def write(self) -> None:
        data: dict[str, Any] = {"identity": self.identity, "timings": self.timings}
        data["evaluations"] = [evaluation.plain() for evaluation in self.evaluations]
        write_json(self.path / "progress.json", data)

    def _read(self) -> None:
        file = self.path / "progress.json"
        if not file.exists():
            return
        try:
            data = read_json(file)
            PROGRESS(data, "")
        except (NotPlain, OddShape) as error:
            say(f"{file} is damaged ({error}): the evaluations are played again from the checkpoints")
            return
        if data["identity"] not in self._known_as:
            raise OtherSettings(
                f"{self.path} holds half-finished work of other settings. Use --overwrite to drop it or --out DIR"
            )
        self.timings = data["timings"]
        self.evaluations = [evaluation_from(e) for e in data["evaluations"]]

    def _drop(self, files: Iterable[Path]) -> None:
        for file in files:
            file.unlink(missing_ok=True)
        self._saved = time.monotonic()


def _epoch(file: Path) -> int:
    """Whole epochs that were trained."""
    return _when(file)[0]


def _when(file: Path) -> tuple[int, int]:
    """After how many epochs, and after which step of the next one; 0: at its beginning."""
    epoch, *step = file.stem.split("-")[1:]
    return int(epoch), int(step[0]) if step else 0
