"""One cell from nothing to its record: demonstrations, observations, training, rollouts, retest.

Every step leaves what it finished, so the same call after a kill does only what is missing and ends with the same
record (timings apart).
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch

from benchmark import provenance, seeds
from benchmark.begun import begin, check_begun, check_demos, its_record
from benchmark.cell import Cell, Paths
from benchmark.clock import Clock
from benchmark.digest import digest
from benchmark.episodes import evaluation_of, save_actions
from benchmark.kept_source import keep_source, source_folder
from benchmark.language import SEEN, Speaker
from benchmark.policy.memory import Memory
from benchmark.policy.policy import Policy, act
from benchmark.preparation import Prepared, prepare
from benchmark.probe import Built, probe
from benchmark.progress import bar, say
from benchmark.pulse import Pulse, await_silence, this_start
from benchmark.report.further import further_actions, further_path
from benchmark.report.plots import plot_cell, plot_shifts
from benchmark.report.record import SCHEMA, Evaluation, Record, write
from benchmark.report.shifts import read_shifts, shifts_path
from benchmark.rollout import Episode, rollout
from benchmark.runtime import resolve_device, resolve_workers, torch_threads
from benchmark.select import select
from benchmark.shifting import play_shifts
from benchmark.stage import Stage, join_hashes, load_demos, open_stages
from benchmark.storage import discard, exclusive
from benchmark.train import Trainer, load_policy
from benchmark.workfolder import WorkFolder
from envs.pool import Pool
from methods.code import imports_so_far, refuse_unnamed, text_hash, texts_of
from methods.frozen import count_parameters, fingerprint
from methods.weights import weights_folder


def run_cell(
    cell: Cell, paths: Paths, command: str, overwrite: bool = False, shifts: tuple[str, ...] = ()
) -> tuple[Record, bool]:
    """The cell's record, and whether anything was computed now. Raises `Busy` if another process is computing it.

    Raises `BadMethod` before any work, and before `overwrite` discards anything, if the method breaks its contract.

    shifts: what else the selected checkpoint is retested under (`Suite.shift`), beside the suite's own.
    """
    target, work = cell.record(paths), cell.work(paths)
    shifts = tuple(dict.fromkeys((*cell.settings.suite.shift, *shifts)))
    with exclusive(work / "lock", cell.label, wait=False):
        if target.exists() and not overwrite:
            record = its_record(cell, target)
            missing = tuple(camera for camera in shifts if camera not in read_shifts(target, record))
            if missing:
                from benchmark.afterwards import retest_under

                retest_under(CellRun(cell, paths, work, command, finished=record), record, missing)
                plot_shifts(record, read_shifts(target, record), target.with_suffix(".shifts.png"))
            return record, bool(missing)
        await_silence(work, cell.label, say)
        built = probe(cell)
        if overwrite:
            for file in (target, shifts_path(target), further_path(target), further_actions(target),
                         source_folder(target)):  # fmt: skip
                discard(file)
            for file in work.glob("*"):
                if not file.name.startswith("lock"):
                    discard(file)
        check_begun(cell, work)
        run = CellRun(cell, paths, work, command, built)
        begin(cell, work)
        discard(work / "error.txt")  # of an earlier start
        with Pulse(work, run.facts()) as run.pulse:
            record = run.record(shifts)
        plot_shifts(record, read_shifts(target, record), target.with_suffix(".shifts.png"))
        return record, True


def prepare_cell(cell: Cell, paths: Paths) -> None:
    """Demonstrations, observations and features of a cell, so that others who share them find them there.

    Raises `BadMethod` before any work if the method breaks its contract.
    """
    run = CellRun(cell, paths, cell.work(paths), "prepare", probe(cell))
    with run.stages() as stages:
        run.prepare(stages)


class CellRun:
    """The state of one run of one cell. Methods follow each other in the order in which they are defined.

    built: what `probe` built already.
    """

    pulse: Pulse | None = None

    def __init__(self, cell: Cell, paths: Paths, work: Path, command: str, built: Built | None = None,
                 finished: Record | None = None) -> None:  # fmt: skip
        """built: the method's representation, if the probe has built it. finished: the cell's record, if it has one."""
        self.built, self.imported = built, imports_so_far()
        self.cell, self.paths, self.work, self.command = cell, paths, work, command
        self.suite, self.protocol = cell.settings.suite, cell.settings.protocol
        self.names = cell.identity()
        self.identity = digest(self.names)
        self.text = text_hash(cell.method)  # now: an edit while it runs is not what ran
        runtime = cell.settings.runtime
        self.device = resolve_device(runtime)
        self.bf16 = runtime.precision == "bf16"
        self.workers = resolve_workers(runtime)
        if runtime.threads != "auto":
            torch.set_num_threads(int(runtime.threads))
        self.kept = WorkFolder(work, self.identity, self.protocol, finished.hashes if finished else ())
        self.evaluations, self.timings = self.kept.evaluations, self.kept.timings
        self.looked_back = False
        self.clock = Clock(self.timings, lambda phase: self._say(phase=phase))
        language, folder = self.suite.language, weights_folder(runtime.weights_dir)
        self.speaker = Speaker(language, folder) if language else None

    def facts(self) -> dict[str, Any]:
        """Of this start, for `attempts.json` and the record."""
        device = provenance.describe_machine(self.device)["device"]
        return this_start(device, torch.__version__, torch.get_num_threads(), provenance.git_state()["commit"])

    @contextmanager
    def stages(self) -> Iterator[list[Stage]]:
        with self.clock("demonstrations"):
            demos = load_demos(self.cell, self.paths, self.workers)
        with open_stages(self.cell, demos, self.workers) as stages:
            yield stages

    def prepare(self, stages: list[Stage]) -> Prepared:
        return prepare(self.cell, self.paths, stages, self.speaker, self.device, self.bf16, self.clock,
                       self.built)  # fmt: skip

    def record(self, shifts: tuple[str, ...]) -> Record:
        with self.stages() as stages:
            check_demos(self.work, join_hashes([stage.demos for stage in stages]))
            prepared = self.prepare(stages)
            representation = prepared.policy.representation
            before = fingerprint(representation)
            trainer = Trainer(
                prepared.policy, self.protocol, self.cell.seed, self.cell.batch_size, self.device, self.bf16
            )
            self._train_and_evaluate(trainer, prepared, stages)
            after = fingerprint(representation)
            if representation.card.frozen and before != after:
                raise RuntimeError(f"{self.cell.method_name} is frozen by its card, but training changed it")
            selected = select(self.evaluations, self.protocol.select)
            retest, episodes = self._retest(prepared.policy, selected, stages)
            play_shifts(self.cell, self.paths, self.identity, prepared.policy, selected.epoch, shifts, self.play,
                        self.workers)  # fmt: skip
            deaths = sum(stage.pool.deaths for stage in stages)
        return self._write(stages, trainer, selected, retest, episodes, before, after, deaths)

    def _train_and_evaluate(self, trainer: Trainer, prepared: Prepared, stages: list[Stage]) -> None:
        newest = self.kept.newest()
        if newest is not None:
            trainer.restore(newest, self.identity)
        protocol, cell = self.protocol, self.cell
        self._say(epoch=trainer.epoch, epochs=protocol.epochs, epoch_at_start=trainer.epoch, training_since=time.time())
        title = f"train {cell.task} {cell.method_name} s{cell.seed}"
        for number, epoch in enumerate(protocol.evaluation_epochs):
            if trainer.epoch < epoch:
                with self.clock("training"), bar(title, protocol.epochs, trainer.epoch) as advance:
                    while trainer.epoch < epoch:
                        loss = trainer.train_epoch(prepared.train)
                        advance(note=f"loss {loss:.4f}")
                        self._say(epoch=trainer.epoch)
                        self.kept.save_now_and_then(trainer)
                    trainer.validate(prepared.valid)
                self.kept.save(trainer)
            if number >= len(self.evaluations):
                chosen = {t: seeds.selection_seeds(self.suite.name, t, number, protocol.rollouts) for t in cell.tasks}
                with self._played(trainer, epoch):
                    episodes = self._play_all(trainer.policy, stages, chosen, f"epoch {epoch}", "evaluate")
                history = trainer.history[epoch - 1]
                self.evaluations.append(
                    evaluation_of(epoch, episodes, history["train_loss"], history.get("valid_loss"))
                )
                self.kept.write()

    def _played(self, trainer: Trainer, epoch: int) -> AbstractContextManager[None]:
        """Inside, the policy has the weights to play after `epoch`."""
        self.looked_back |= trainer.epoch != epoch  # it was trained further, perhaps elsewhere, before anybody looked
        if not self.looked_back:
            return trainer.recipe.averaged()
        load_policy(trainer.policy, self.kept.checkpoint(epoch))
        return nullcontext()

    def _play_all(self, policy: Policy, stages: list[Stage], chosen: dict[str, list[int]], when: str,
                  what: str) -> list[Episode]:  # fmt: skip
        """chosen: task -> the seeds of its episodes."""
        played = []
        for stage in stages:
            title = f"{what} {stage.task} {when}"
            played += self.play(policy, stage.task, chosen[stage.task], stage.pool, title)
        return played

    def play(self, policy: Policy, task: str, chosen: list[int], pool: Pool, title: str,
             instructions: str = SEEN) -> list[Episode]:  # fmt: skip
        """Episodes of one task. instructions: which of the suite's they hear, where it has any."""
        policy.eval()
        speaker = self.speaker

        def remember(seed: int) -> Memory:
            return Memory(seed, speaker.of_episode(task, seed, instructions) if speaker else None)

        on_gpu = self.device.type == "cuda"
        with self.clock("rollouts"), bar(title, len(chosen)) as advance, torch_threads(None if on_gpu else 1):
            return rollout(
                pool,
                lambda observations, memories: act(policy, observations, memories, self.device, self.bf16),
                chosen,
                self.protocol.horizon,
                self.protocol.success,
                advance,
                together=on_gpu,
                remember=remember,
            )

    def _retest(self, policy: Policy, selected: Evaluation, stages: list[Stage]) -> tuple[Evaluation, list[Episode]]:
        load_policy(policy, self.kept.checkpoint(selected.epoch))
        count = self.protocol.retest_rollouts
        chosen = {task: seeds.retest_seeds(self.suite.name, task, count) for task in self.cell.tasks}
        episodes = self._play_all(policy, stages, chosen, f"epoch {selected.epoch}", "retest")
        return evaluation_of(selected.epoch, episodes, None, None), episodes

    def _write(self, stages: list[Stage], trainer: Trainer, selected: Evaluation, retest: Evaluation,
               episodes: list[Episode], before: str, after: str, deaths: int) -> Record:  # fmt: skip
        refuse_unnamed(self.cell.method, self.imported)
        cell, representation, demos = self.cell, trainer.policy.representation, [stage.demos for stage in stages]
        train, kept = sum(one.train for one in demos), sum(len(one.seeds) for one in demos)
        card = representation.card
        facts = provenance.collect(self.device, self.command)
        record = Record(
            schema=SCHEMA, suite=self.suite.name, task=cell.task, method=cell.method_name,
            head=cell.settings.head.name, seed=cell.seed, protocol=self.protocol.name,
            identity=self.names, identity_hash=self.identity, env=self.suite.env,
            card=json.loads(json.dumps(card.as_dict())),
            success_rule=self.protocol.success, horizon=self.protocol.horizon,
            demo_hash=join_hashes(demos),
            demos={"train": train, "valid": kept - train, "attempts": sum(one.attempts for one in demos)},
            training={
                "optimizer_steps": trainer.steps, "batch_size": cell.batch_size, "epochs": trainer.epoch,
                "samples": train * self.protocol.horizon,
                "parameters_encoder": count_parameters(representation),
                "parameters_total": count_parameters(trainer.policy),
                "parameters_trained": count_parameters(trainer.policy, trained_only=True),
                "train_loss": [epoch["train_loss"] for epoch in trainer.history],
            },
            evaluations=tuple(self.evaluations), selected_epoch=selected.epoch, retest=retest,
            frozen={"by_card": card.frozen, "before": before, "after": after, "unchanged": before == after},
            weights={
                "files": cell.weights.hashes(), "untrained": cell.weights.untrained,
                **cell.pretraining(), **cell.spoken(),
            },
            fingerprint=stages[0].fingerprint,
            provenance=facts | {
                "method_text": self.text, "worker_deaths": deaths, "workers": self.workers,
                "attempts": self.pulse.attempts if self.pulse else [],
            },
            timings={name: round(seconds, 2) for name, seconds in self.timings.items()},
        )  # fmt: skip
        target = cell.record(self.paths)
        keep_source(texts_of(cell.method), source_folder(target))
        save_actions(target.with_suffix(".actions.npz"), episodes)
        plot_cell(record, target.with_suffix(".png"))
        write(record, target)
        return record

    def _say(self, **facts: Any) -> None:
        if self.pulse is not None:
            self.pulse.say(**facts)
