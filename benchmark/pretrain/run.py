"""One pre-training from nothing to its checkpoint and card. The same call after a kill goes on where it stopped."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmark.pretrain.batches import Loader
from benchmark.pretrain.checkpoint import write_checkpoint
from benchmark.pretrain.data.frames import Frames
from benchmark.pretrain.data.sources import open_frames, simulators
from benchmark.pretrain.job import NO_TEACHER, PretrainJob
from benchmark.pretrain.objectives import check_fields, needs_pictures, needs_triplets, open_objective
from benchmark.pretrain.processes import Group
from benchmark.pretrain.resume import discard_states, drop, restore_newest, save_newest
from benchmark.pretrain.teacher_features import TeacherFeatures
from benchmark.pretrain.trainer import PretrainTrainer
from benchmark.records.paths import Paths
from benchmark.records.pretraining_files import check_card, read_card, set_aside
from benchmark.settings.machine import resolve_device, resolve_workers
from benchmark.settings.runtime import Runtime
from benchmark.settings.seeds import training_seed
from benchmark.system import provenance
from benchmark.system.errors import OtherSettings
from benchmark.system.files import discard, exclusive
from benchmark.system.heartbeat import Heartbeat, read_attempts, this_start, wait_until_heartbeat_stops
from benchmark.system.progress import bar, say
from methods.code import class_text_hash
from methods.objective import Batch, FrozenTeacher, ObjectiveModel
from methods.weight_places import weights_folder

SAVE_EVERY = 300.0
"""Seconds of training that a kill may cost."""
VALIDATION_BATCHES = 4


def pretrain(
    job: PretrainJob, paths: Paths, runtime: Runtime, command: str, overwrite: bool = False
) -> tuple[dict[str, Any], bool]:
    """The checkpoint's card, and whether it was made now. Under torchrun every process calls this.

    Raises `Busy` if another process is at it, `OtherSettings` if the place holds something else, `WeightsMissing` if
    the teacher's weights are not here.
    """
    device = resolve_device(runtime)
    if runtime.threads != "auto":
        torch.set_num_threads(int(runtime.threads))
    check_teacher(job, weights_folder(runtime.weights_dir))
    group = Group.join(device)
    if device.type == "cuda" and group.world > 1:
        device = torch.device("cuda", torch.cuda.current_device())
    try:
        run = _Run(job, paths, runtime, command, device, group)
        return run.guarded(overwrite) if group.first else run.follow()
    finally:
        group.leave()


def check_teacher(job: PretrainJob, folder: Path) -> None:
    """Raises `WeightsMissing` before any work, with the commands that mend it."""
    if job.teacher != NO_TEACHER:
        open_objective(job.method, job.config).check_teacher(job.teacher, folder)


class _Run:
    def __init__(
        self, job: PretrainJob, paths: Paths, runtime: Runtime, command: str, device: torch.device, group: Group
    ) -> None:
        self.job, self.paths, self.runtime, self.command = job, paths, runtime, command
        self.device, self.group = device, group
        self.objective = open_objective(job.method, job.config)
        self.text = class_text_hash(type(self.objective))  # now: an edit while it runs is not what ran
        self.folder = job.folder(paths.out)
        self.history: list[dict[str, Any]] = []
        self.seconds = 0.0
        self.heartbeat: Heartbeat | None = None

    def guarded(self, overwrite: bool) -> tuple[dict[str, Any], bool]:
        label = f"pre-training {self.job.method}/{self.job.label}"
        with exclusive(self.folder / "lock", label, wait=False):
            if overwrite:
                for file in self.folder.glob("*"):
                    if not file.name.startswith("lock"):
                        discard(file)
            card, damage = check_card(self.folder)
            if card is not None and card["identity_hash"] != self.job.identity_hash():
                raise OtherSettings(
                    f"{self.folder} holds a pre-training of other settings. Give it another --name, or --overwrite"
                )
            if damage:
                say(f"{damage}: trained again")
                set_aside(self.folder, card)
            elif card is not None:
                if card["provenance"].get("objective_text", self.text) != self.text:
                    say(
                        f"the source of {self.job.method}'s pre-training has changed since {self.job.label} was "
                        "trained: these weights are the old one's. --overwrite trains it again, another --name both"
                    )
                then = card["provenance"].get("simulators", {})
                for name, version in simulators(self.job.data).items():
                    if then.get(name, version) != version:
                        say(
                            f"{name} was {then[name]} when {self.job.label} was trained, and is {version} now: these "
                            "weights are of the old one's frames. --overwrite trains it again, another --name both"
                        )
                self.group.wait()
                return card, False
            wait_until_heartbeat_stops(self.folder, label, say)
            device = provenance.describe_machine(self.device)["device"]
            commit = provenance.git_state()["commit"]
            facts = this_start(device, torch.__version__, torch.get_num_threads(), commit)
            with Heartbeat(self.folder, facts) as self.heartbeat:
                return self._train(), True

    def follow(self) -> tuple[dict[str, Any], bool]:
        """What the other processes of torchrun do: the same, without writing."""
        card = self._train(waits=True)
        return card, bool(card)

    def _frames(self) -> Frames:
        workers = resolve_workers(self.runtime)
        fields = self.objective.fields
        pictures, triplets = needs_pictures(fields), needs_triplets(fields)
        frames = open_frames(self.job.data, self.paths.caches, pictures, workers, triplets)
        check_fields(frames, fields)
        return frames

    def _train(self, waits: bool = False) -> dict[str, Any]:
        if waits:
            self.group.wait()  # the first process prepares what all read
            if read_card(self.folder) is not None:
                return {}
        frames = self._frames()
        teacher = self._teacher()
        taught = TeacherFeatures(frames, teacher, self.paths.caches, self.device) if teacher is not None else None
        taught_by = teacher.identity() if teacher is not None else NO_TEACHER
        if not waits:
            self.group.wait()
        config = self.job.config
        if not len(frames.rows(held_out=False)):
            raise OtherSettings(f"{self.job.label}: all frames are held out, none is left to train on")
        loader = Loader(
            frames,
            self.objective,
            taught,
            config.batch_size,
            config.seed,
            self.group.rank,
            self.group.world,
            self.device,
        )
        torch.manual_seed(training_seed(config.seed, "pretrain init"))
        model = self.objective.build(frames.training, teacher, say)
        del teacher  # and its memory on the device
        per_epoch = config.epoch(loader.steps_per_epoch)
        trainer = PretrainTrainer(model, config, per_epoch, self.device, self.group, self.objective.when_diverged)
        identity = self._identity(frames, taught_by)
        facts, bad = restore_newest(self.folder, lambda file: trainer.restore(file, identity))
        if facts is not None:
            self._refuse_other_code(facts)
            self.history, self.seconds = facts["history"], facts["seconds"]
        self.group.wait()  # until all have read
        if self.group.first:
            drop(bad, trainer.step)
        self._loop(trainer, loader, identity)
        self.group.wait()
        if not self.group.first:
            return {}
        card = self._card(frames, taught_by, trainer, model)
        card = write_checkpoint(self.job.weights(self.paths.out), model, card)
        discard_states(self.folder)
        return card

    def _teacher(self) -> FrozenTeacher | None:
        if self.job.teacher == NO_TEACHER:
            return None
        return self.objective.open_teacher(self.job.teacher, weights_folder(self.runtime.weights_dir))

    def _identity(self, frames: Frames, teacher: str) -> str:
        return hashlib.sha256(f"{self.job.identity_hash()}|{frames.content_hash}|{teacher}".encode()).hexdigest()

    def _refuse_other_code(self, facts: Mapping[str, Any]) -> None:
        """facts: of a state, which one of an earlier version says no code of."""
        if facts.get("objective_text", self.text) == self.text:
            return
        commits = [commit for start in read_attempts(self.folder)[:-1] if (commit := start.get("commit"))]
        at = f" (it was last worked on at commit {commits[-1][:12]})" if commits else ""
        raise OtherSettings(
            f"{self.folder} holds a half-finished pre-training by another source of {self.job.method}{at}, and half of "
            "each would be neither's. Undo the edit to go on; another --name, or --overwrite, begins anew"
        )

    def _loop(self, trainer: PretrainTrainer, loader: Loader, identity: str) -> None:
        config, per_epoch = self.job.config, self.job.config.epoch(loader.steps_per_epoch)
        writer = self._writer(trainer.step)
        validation = list(_validation(loader, config.batch_size // self.group.world))
        running: dict[str, float] = (
            self.history.pop()["running"] if self.history and "running" in self.history[-1] else {}
        )
        saved = began = time.monotonic()
        self._say(phase="training", epochs=config.epochs)
        shown = trainer.total if self.group.first else 0
        with bar(f"pre-train {self.job.method} {self.job.label}", shown, trainer.step) as advance:
            for batch in loader.start(trainer.step, trainer.total):
                noted = trainer.step % config.log_every == 0
                terms = trainer.train_step(batch, norms=noted)
                if noted and writer is not None:
                    for name, value in terms.items():
                        writer.add_scalar(name if "/" in name else f"train/{name}", value, trainer.step)
                    writer.add_scalar("rate", trainer.rate(trainer.step - 1), trainer.step)
                for name, value in terms.items():
                    if "/" not in name:
                        running[name] = running.get(name, 0.0) + value / per_epoch
                epoch = trainer.step // per_epoch
                advance(note=f"epoch {epoch}/{config.epochs} " + _in_words(terms))
                self._say(epoch=epoch, step=trainer.step)
                if trainer.step % per_epoch == 0:
                    valid = trainer.evaluate(validation)
                    self.history.append({"epoch": epoch, "train": running, "valid": valid})
                    if writer is not None:
                        for name, value in valid.items():
                            writer.add_scalar(f"valid/{name}", value, trainer.step)
                    running = {}
                if time.monotonic() - saved > SAVE_EVERY and self.group.first:
                    self.seconds += time.monotonic() - began
                    began = saved = time.monotonic()
                    history = [*self.history, *([{"running": running}] if running else [])]
                    facts = {"history": history, "seconds": self.seconds, "objective_text": self.text}
                    save_newest(self.folder, lambda file, facts=facts: trainer.save(file, identity, facts))  # type: ignore[misc]
        self.seconds += time.monotonic() - began
        if writer is not None:
            writer.close()

    def _writer(self, step: int) -> Any:
        if not self.group.first:
            return None
        from torch.utils.tensorboard import SummaryWriter

        return SummaryWriter(str(self.folder / "tensorboard"), purge_step=step + 1)

    def _card(self, frames: Frames, teacher: str, trainer: PretrainTrainer, model: ObjectiveModel) -> dict[str, Any]:
        job, facts = self.job, model.facts()
        return {
            "method": job.method,
            "label": job.label,
            "identity": job.identity(),
            "identity_hash": job.identity_hash(),
            "data": frames.summary(),
            "data_hash": frames.content_hash,
            "teacher": teacher,
            "untrained_teacher": job.untrained_teacher,
            "steps": trainer.step,
            "epochs": job.config.epochs,
            "frames_seen": trainer.step * job.config.batch_size,
            "history": self.history,
            "parameters": {
                "encoder": sum(p.numel() for p in model.representation.parameters()),
                "trained": sum(p.numel() for p in model.parameters()),
            },
            "provenance": provenance.collect(self.device, self.command)
            | {
                "processes": self.group.world,
                "objective_text": self.text,
                "simulators": simulators(job.data),
            },
            "attempts": read_attempts(self.folder),
            "seconds": round(self.seconds, 1),
            **({"objective": facts} if facts else {}),
        }

    def _say(self, **facts: Any) -> None:
        if self.heartbeat is not None:
            self.heartbeat.say(**facts)


def _validation(loader: Loader, size: int) -> Iterator[Batch]:
    """A few batches of held-out frames, spread over all of them."""
    rows = loader.frames.rows(held_out=True)
    batches = min(VALIDATION_BATCHES, len(rows) // size)
    chosen = rows[np.linspace(0, len(rows) - 1, batches * size).astype(int)] if batches else rows[:0]
    for number in range(batches):
        yield loader.batch(chosen[number::batches], number)


def _in_words(terms: Mapping[str, float]) -> str:
    return " ".join(f"{name} {value:.4g}" for name, value in terms.items() if "/" not in name)
