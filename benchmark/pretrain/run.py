"""One pre-training from nothing to its checkpoint and card. The same call after a kill goes on where it stopped."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmark import provenance
from benchmark.cell import Paths
from benchmark.encoders import encoder_specs
from benchmark.pretrain.batches import Batch, Loader
from benchmark.pretrain.checkpoint import read_card, write_checkpoint
from benchmark.pretrain.frames import Frames
from benchmark.pretrain.job import PretrainJob
from benchmark.pretrain.parallel import Group
from benchmark.pretrain.sources import open_frames
from benchmark.pretrain.teacher_features import TeacherFeatures
from benchmark.pretrain.trainer import PretrainTrainer
from benchmark.progress import bar, say
from benchmark.protocol import Runtime
from benchmark.pulse import Pulse, await_silence, this_start
from benchmark.runtime import resolve_device, resolve_workers
from benchmark.seeds import training_seed
from benchmark.storage import discard, exclusive
from benchmark.workfolder import OtherSettings
from methods.clar.pretraining import Pretraining
from methods.clar.representation import CLAR
from methods.clar.teacher import CARD as TEACHER_CARD
from methods.clar.teacher import RandomTeacher, Teacher
from methods.errors import WeightsMissing
from methods.registry import method_class
from methods.weights import choose_weights, weights_folder

SAVE_EVERY = 300.0
"""Seconds of training that a kill may cost."""
VALIDATION_BATCHES = 4


def pretrain(job: PretrainJob, paths: Paths, runtime: Runtime, command: str,
             overwrite: bool = False) -> tuple[dict[str, Any], bool]:  # fmt: skip
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
    if job.teacher == "clip":
        _clip_is_here(folder)


def open_teacher(name: str, folder: Path) -> Teacher:
    """`clip` or `random`. Raises `WeightsMissing` with the commands that mend it."""
    if name == "random":
        return RandomTeacher()
    _clip_is_here(folder)
    return Teacher.load(folder)


def _clip_is_here(folder: Path) -> None:
    try:
        choose_weights(TEACHER_CARD, None, folder)
    except WeightsMissing as error:
        raise WeightsMissing(
            f"{str(error).splitlines()[0]}\n  (no internet here: bring the files and add --dir FOLDER.) Without a "
            "teacher: --without contrast,local; --teacher random trains the machinery and marks the checkpoint"
        ) from error


class _Run:
    def __init__(self, job: PretrainJob, paths: Paths, runtime: Runtime, command: str, device: torch.device,
                 group: Group) -> None:  # fmt: skip
        self.job, self.paths, self.runtime, self.command = job, paths, runtime, command
        self.device, self.group = device, group
        self.folder = job.folder(paths.out)
        self.history: list[dict[str, Any]] = []
        self.seconds = 0.0
        self.pulse: Pulse | None = None

    def guarded(self, overwrite: bool) -> tuple[dict[str, Any], bool]:
        label = f"pre-training {self.job.method}/{self.job.label}"
        with exclusive(self.folder / "lock", label, wait=False):
            if overwrite:
                for file in self.folder.glob("*"):
                    if not file.name.startswith("lock"):
                        discard(file)
            card = read_card(self.folder)
            if card is not None:
                if card["identity_hash"] != self.job.identity_hash():
                    raise OtherSettings(
                        f"{self.folder} holds a pre-training of other settings. Give it another --name, or --overwrite"
                    )
                self.group.wait()
                return card, False
            await_silence(self.folder, label, say)
            device = provenance.describe_machine(self.device)["device"]
            commit = provenance.git_state()["commit"]
            facts = this_start(device, torch.__version__, torch.get_num_threads(), commit)
            with Pulse(self.folder, facts) as self.pulse:
                return self._train(), True

    def follow(self) -> tuple[dict[str, Any], bool]:
        """What the other processes of torchrun do: the same, without writing."""
        card = self._train(waits=True)
        return card, bool(card)

    def _frames(self) -> Frames:
        workers = resolve_workers(self.runtime)
        return open_frames(self.job.data, self.paths.data, self.job.teacher != "none", workers)

    def _train(self, waits: bool = False) -> dict[str, Any]:
        if waits:
            self.group.wait()  # the first process prepares what all read
            if read_card(self.folder) is not None:
                return {}
        frames = self._frames()
        taught, teacher = self._teacher_features(frames)
        if not waits:
            self.group.wait()
        config = self.job.config
        if not len(frames.rows(held_out=False)):
            raise OtherSettings(f"{self.job.label}: all frames are held out, none is left to train on")
        loader = Loader(frames, taught, config.batch_size, config.seed, self.group.rank, self.group.world)
        model = make_model(self.job, frames, taught)
        trainer = PretrainTrainer(model, config, loader.steps_per_epoch, self.device, self.group)
        identity = self._identity(frames, teacher)
        resume = self.folder / "resume.pt"
        if resume.exists():
            facts = trainer.restore(resume, identity)
            self.history, self.seconds = facts["history"], facts["seconds"]
        self._loop(trainer, loader, resume, identity)
        self.group.wait()
        if not self.group.first:
            return {}
        card = self._card(frames, teacher, trainer, model)
        card = write_checkpoint(self.job.weights(self.paths.out), model, card)
        discard(resume)
        return card

    def _teacher_features(self, frames: Frames) -> tuple[TeacherFeatures | None, str]:
        if self.job.teacher == "none":
            return None, "none"
        teacher = open_teacher(self.job.teacher, weights_folder(self.runtime.weights_dir))
        return TeacherFeatures(frames, teacher, self.paths.data, self.device), teacher.identity()

    def _identity(self, frames: Frames, teacher: str) -> str:
        return hashlib.sha256(f"{self.job.identity_hash()}|{frames.content_hash}|{teacher}".encode()).hexdigest()

    def _loop(self, trainer: PretrainTrainer, loader: Loader, resume: Path, identity: str) -> None:
        config, per_epoch = self.job.config, loader.steps_per_epoch
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
                    trainer.save(resume, identity, {"history": history, "seconds": self.seconds})
        self.seconds += time.monotonic() - began
        if writer is not None:
            writer.close()

    def _writer(self, step: int) -> Any:
        if not self.group.first:
            return None
        from torch.utils.tensorboard import SummaryWriter

        return SummaryWriter(str(self.folder / "tensorboard"), purge_step=step + 1)

    def _card(self, frames: Frames, teacher: str, trainer: PretrainTrainer, model: Pretraining) -> dict[str, Any]:
        from benchmark.pulse import read_attempts

        job = self.job
        return {
            "method": job.method, "label": job.label, "identity": job.identity(), "identity_hash": job.identity_hash(),
            "data": frames.summary(), "data_hash": frames.content_hash, "teacher": teacher,
            "untrained_teacher": job.teacher == "random", "steps": trainer.step, "epochs": job.config.epochs,
            "frames_seen": trainer.step * job.config.batch_size, "history": self.history,
            "parameters": {
                "encoder": sum(p.numel() for p in model.representation.parameters()),
                "trained": sum(p.numel() for p in model.parameters()),
            },
            "provenance": provenance.collect(self.device, self.command) | {"processes": self.group.world},
            "attempts": read_attempts(self.folder), "seconds": round(self.seconds, 1),
        }  # fmt: skip

    def _say(self, **facts: Any) -> None:
        if self.pulse is not None:
            self.pulse.say(**facts)


def make_model(job: PretrainJob, frames: Frames, taught: TeacherFeatures | None) -> Pretraining:
    """The model at its start, its clouds' range fitted to the frames that are trained on."""
    kind = method_class(job.method)
    if not issubclass(kind, CLAR):
        raise TypeError(f"{job.method} is no CLAR encoder and has no pre-training here")
    torch.manual_seed(training_seed(job.config.seed, "pretrain init"))
    representation = kind(encoder_specs(kind.card), norm=job.config.norm, feature=job.config.feature)
    corners = torch.from_numpy(np.stack(cloud_range(frames))).unsqueeze(0)
    both = torch.ones(1, 2, dtype=torch.bool)
    representation.fit({"points": corners, "points_valid": both})
    if job.config.norm == "fixed":  # of another robot or simulator they may lie far from where policies' clouds will
        low, high = representation.preprocess(corners, both)[0].tolist()
        say(f"norm=fixed: the training clouds reach from {_vector(low)} to {_vector(high)} half-widths of its cube")
    sizes = (taught.dim, taught.map_dim) if taught is not None else (512, 768)
    return Pretraining(representation, job.config.objective(), *sizes)


def cloud_range(frames: Frames) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest coordinates (3,) of all training clouds, metres; a shard at a time."""
    lows, highs = [], []
    for shard in frames.shards:
        for row in np.flatnonzero(~shard.held_out):
            cloud = shard.fields["points"][row][shard.fields["points_valid"][row]]
            lows.append(cloud.min(axis=0))
            highs.append(cloud.max(axis=0))
    return np.min(lows, axis=0), np.max(highs, axis=0)


def _vector(values: list[float]) -> str:
    return "(" + ", ".join(f"{value:.2f}" for value in values) + ")"


def _validation(loader: Loader, size: int) -> Iterator[Batch]:
    """A few batches of held-out frames, spread over all of them."""
    rows = loader.frames.rows(held_out=True)
    batches = min(VALIDATION_BATCHES, len(rows) // size)
    chosen = rows[np.linspace(0, len(rows) - 1, batches * size).astype(int)] if batches else rows[:0]
    for number in range(batches):
        yield loader.batch(chosen[number::batches], number)


def _in_words(terms: Mapping[str, float]) -> str:
    return " ".join(f"{name} {value:.4g}" for name, value in terms.items() if "/" not in name)
