"""One cell from nothing to its record: demonstrations, observations, training, rollouts, retest.

Every step leaves what it finished, so the same call after a kill does only what is missing and ends with the same
record (timings apart).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch

from benchmark.experiment.cell import Cell
from benchmark.experiment.cell_record import Finished, leave_record
from benchmark.experiment.evaluation import actions_of, curves_of, evaluation_of, failed_actions
from benchmark.experiment.existing_work import check_demos
from benchmark.experiment.live_log import LiveLog
from benchmark.experiment.prepare import Prepared, prepare
from benchmark.experiment.probe import Built
from benchmark.experiment.replace_record import staged
from benchmark.experiment.retest_shifted import Played, play_shifts
from benchmark.experiment.rollout import Episode, rollout
from benchmark.experiment.task_data import TaskData, join_hashes, load_demos, open_task_data
from benchmark.experiment.work_folder import WorkFolder
from benchmark.policy.act import act
from benchmark.policy.episode_memory import Memory
from benchmark.records.actions import write_actions
from benchmark.records.hash_chain import before_retest, first_link, linked
from benchmark.records.paths import Paths
from benchmark.records.record import Evaluation, Record
from benchmark.records.selected_checkpoint import select
from benchmark.records.simulator_options import options_now
from benchmark.settings import seeds
from benchmark.settings.instructions import SEEN, InstructionFeatures
from benchmark.settings.machine import resolve_device, resolve_workers, torch_threads
from benchmark.system import provenance
from benchmark.system.digest import digest
from benchmark.system.heartbeat import Heartbeat, this_start
from benchmark.system.phase_times import Clock
from benchmark.system.progress import bar, say
from benchmark.training.checkpoint import load_checkpoint, load_policy, played_digest
from benchmark.training.trainer import Trainer
from envs.pool import Pool
from methods.code import imports_so_far, refuse_unnamed
from methods.frozen import fingerprint
from methods.policy import Policy
from methods.weight_places import weights_folder


class CellRun:
    """The state of one run of one cell. Methods follow each other in the order in which they are defined."""

    heartbeat: Heartbeat | None = None

    def __init__(
        self,
        cell: Cell,
        paths: Paths,
        work: Path,
        command: str,
        built: Built | None = None,
        finished: Record | None = None,
    ) -> None:
        """built: the method's representation, if the probe has built it. finished: the cell's record, if it has one."""
        self.built, self.imported = built, imports_so_far()
        self.cell, self.paths, self.work, self.command = cell, paths, work, command
        self.suite, self.protocol = cell.settings.suite, cell.settings.protocol
        self.names = cell.identity()
        self.identity = digest(self.names)
        self.text = cell.text_hash()  # now: an edit while it runs is not what ran
        runtime = cell.settings.runtime
        self.device = resolve_device(runtime)
        self.bf16 = runtime.precision == "bf16"
        self.workers = resolve_workers(runtime)
        if runtime.threads != "auto":
            torch.set_num_threads(int(runtime.threads))
        self.kept = WorkFolder(work, self.identity, self.protocol, finished.hashes if finished else ())
        self.evaluations, self.timings = self.kept.evaluations, self.kept.timings
        self.evaluate_from_checkpoint = False
        self.clock = Clock(self.timings, lambda phase: self._say(phase=phase))
        language, folder = self.suite.language, weights_folder(runtime.weights_dir)
        self.instruction_features = InstructionFeatures(language, folder) if language else None

    def facts(self) -> dict[str, Any]:
        """Of this start, for `attempts.json` and the record."""
        device = provenance.describe_machine(self.device)["device"]
        return this_start(device, torch.__version__, torch.get_num_threads(), provenance.git_state()["commit"])

    @contextmanager
    def task_data(self) -> Iterator[list[TaskData]]:
        with self.clock("demonstrations"):
            demos = load_demos(self.cell, self.paths, self.workers)
        with open_task_data(self.cell, demos, self.workers) as task_data:
            yield task_data

    def prepare(self, task_data: list[TaskData]) -> Prepared:
        return prepare(
            self.cell, self.paths, task_data, self.instruction_features, self.device, self.bf16, self.clock, self.built
        )

    def record(self, shifts: tuple[str, ...]) -> Record:
        with self.task_data() as task_data:
            demo_hash = join_hashes([of_task.demos for of_task in task_data])
            check_demos(self.work, demo_hash)
            self.kept.mend(first_link(self.identity, demo_hash), self._selection_seeds)
            prepared = self.prepare(task_data)
            # of a whole policy there is no such part
            representation = prepared.policy.representation or torch.nn.Module()
            before = fingerprint(representation)
            trainer = Trainer(
                prepared.policy, self.protocol, self.cell.seed, self.cell.batch_size, self.device, self.bf16
            )
            self._begin(trainer)
            self._train_and_evaluate(trainer, prepared, task_data)
            after = fingerprint(representation)
            if self.cell.card.frozen and before != after:
                raise RuntimeError(f"{self.cell.method_name} is frozen by its card, but training changed it")
            selected = select(self.evaluations, self.protocol.select)
            facts = provenance.collect(self.device, self.command) | options_now(self.cell.settings.suite.env)
            before_it = before_retest(self.kept.last_link(), task_data[0].fingerprint, facts["git"]["commit"])
            retest, episodes = self._retest(prepared.policy, selected, task_data, before_it)
            self.log.scalars(self._now(trainer), {"retest/success": retest.tally.rate} if retest.tally.n else {})
            self.log.close()
            played = Played(staged(self.cell.record(self.paths)), self.identity, {self.identity}, retest)
            demos = {of_task.task: of_task.demos for of_task in task_data}
            play_shifts(self.cell, played, prepared.policy, shifts, self.play, self.workers, demos.__getitem__)
            deaths = sum(of_task.pool.deaths for of_task in task_data)
        refuse_unnamed(self.cell.method, self.imported)
        made_by = {
            "method_text": self.text,
            "worker_deaths": deaths,
            "workers": self.workers,
            "attempts": self.heartbeat.attempts if self.heartbeat else [],
        }
        return leave_record(
            Finished(
                self.cell, self.names, self.kept, trainer, task_data, retest, episodes, (before, after), facts | made_by
            ),
            self.paths,
            self.work,
        )

    def _selection_seeds(self, number: int) -> list[int]:
        """Of the `number`-th evaluation, of all tasks."""
        return seeds.selection_seeds(self.suite.name, self.cell.task, number, self.protocol.rollouts)

    def _begin(self, trainer: Trainer) -> None:
        """Where an earlier start stopped, if there was one."""
        newest = self.kept.newest()
        if newest is not None:
            trainer.restore(newest, self.identity)
        done, protocol = self._now(trainer), self.protocol
        self._say(
            epoch=done, epochs=protocol.length, epoch_at_start=done, training_since=time.time(), unit=protocol.unit
        )
        self.log = LiveLog(self.cell.settings.runtime.log, self.work, self.cell.label, self.names, done)

    def _now(self, trainer: Trainer) -> int:
        """The epoch, or the step under a protocol of steps."""
        return trainer.steps if self.protocol.steps else trainer.epoch

    def _train_and_evaluate(self, trainer: Trainer, prepared: Prepared, task_data: list[TaskData]) -> None:
        protocol, cell = self.protocol, self.cell
        title = f"train {cell.task} {cell.method_name} s{cell.seed}"
        for number, epoch in enumerate(protocol.evaluation_epochs):
            if trainer.epoch < epoch:
                if self.evaluate_from_checkpoint:  # the policy has what was played, which may be an average
                    trainer.restore(self.kept.checkpoint(trainer.epoch), self.identity)
                    self.evaluate_from_checkpoint = False
                done = self._now(trainer)
                with self.clock("training"), bar(title, protocol.length, done) as advance:
                    while trainer.epoch < epoch:
                        before, done = done, trainer.advance(prepared.train)
                        advance(done - before, note=f"loss {trainer.loss:.4f}")
                        self._say(epoch=done)
                        self.log.scalars(done, {"loss/train": trainer.loss})
                        self.kept.save_now_and_then(trainer)
                    trainer.validate(prepared.valid)
                self.kept.save(trainer)
            if number >= len(self.evaluations):
                chosen = {t: seeds.selection_seeds(self.suite.name, t, number, protocol.rollouts) for t in cell.tasks}
                with self._played(trainer, epoch):
                    episodes = self._play_all(trainer.policy, task_data, chosen, f"epoch {epoch}", "evaluate")
                history = trainer.history[epoch - 1]
                if self.cell.settings.runtime.keep_actions == "all":
                    write_actions(self.kept.actions(epoch), actions_of(episodes))
                weights = played_digest(load_checkpoint(self.kept.checkpoint(epoch)))
                evaluation = evaluation_of(epoch, episodes, weights, history["train_loss"], history.get("valid_loss"))
                self.kept.add(evaluation)
                self.log.scalars(epoch * (protocol.evaluate_every if protocol.steps else 1), curves_of(evaluation))

    def _played(self, trainer: Trainer, epoch: int) -> AbstractContextManager[None]:
        """Inside, the policy has the weights to play after `epoch`."""
        # it may have been trained further, perhaps elsewhere, before anybody looked
        self.evaluate_from_checkpoint |= trainer.epoch != epoch
        if not self.evaluate_from_checkpoint:
            return trainer.optimization.averaged()
        load_policy(trainer.policy, self.kept.checkpoint(epoch))
        return nullcontext()

    def _play_all(
        self, policy: Policy, task_data: list[TaskData], chosen: dict[str, list[int]], when: str, what: str
    ) -> list[Episode]:
        """chosen: task -> the seeds of its episodes."""
        played = []
        for of_task in task_data:
            title = f"{what} {of_task.task} {when}"
            found = self.play(policy, of_task.task, chosen[of_task.task], of_task.pool, title)
            if said := failed_actions(found):
                say(f"{title}: {said}")
            played += found
        return played

    def play(
        self, policy: Policy, task: str, chosen: list[int], pool: Pool, title: str, instructions: str = SEEN
    ) -> list[Episode]:
        """Episodes of one task. instructions: which of the suite's they hear, where it has any."""
        policy.eval()
        rules = self.cell.settings.of_task(task)
        instruction_features = self.instruction_features

        def remember(seed: int) -> Memory:
            return Memory(
                seed, instruction_features.of_episode(task, seed, instructions) if instruction_features else None
            )

        on_gpu = self.device.type == "cuda"
        with self.clock("rollouts"), bar(title, len(chosen)) as advance, torch_threads(None if on_gpu else 1):
            return rollout(
                pool,
                lambda observations, memories: act(policy, observations, memories, self.device, self.bf16),
                chosen,
                rules.horizon,
                rules.success,
                advance,
                together=on_gpu,
                remember=remember,
                looks=policy.obs_steps,
            )

    def _retest(
        self, policy: Policy, selected: Evaluation, task_data: list[TaskData], before: str
    ) -> tuple[Evaluation, list[Episode]]:
        """before: the link that the retest's follows."""
        weights = load_policy(policy, self.kept.checkpoint(selected.epoch))
        count = self.protocol.retest_rollouts
        chosen = {task: seeds.retest_seeds(self.suite.name, task, count) for task in self.cell.tasks}
        episodes = self._play_all(policy, task_data, chosen, f"epoch {selected.epoch}", "retest")
        return linked(before, evaluation_of(selected.epoch, episodes, weights), "retest"), episodes

    def _say(self, **facts: Any) -> None:
        if self.heartbeat is not None:
            self.heartbeat.say(**facts)
