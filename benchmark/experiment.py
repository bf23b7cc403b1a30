"""One cell from nothing to its record: demonstrations, observations, training, rollouts, retest.

Every step leaves what it finished, so the same call after a kill does only what is missing and ends with the same
record (timings apart).
"""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmark import provenance, seeds
from benchmark.cell import Cell, Paths, difference
from benchmark.data.demos import Demos, load_or_collect
from benchmark.data.features import FeatureCache, encode_rows, histories, mapped
from benchmark.data.observations import cache_key, load_or_render, open_pool
from benchmark.episodes import evaluation_of, save_actions
from benchmark.policy.policy import Policy, act, make_policy
from benchmark.progress import bar, say
from benchmark.pulse import Pulse, await_silence, this_start
from benchmark.report.further import further_actions, further_path
from benchmark.report.plots import plot_cell, plot_shifts
from benchmark.report.record import SCHEMA, BadRecord, Evaluation, Record, read, write
from benchmark.report.shifts import read_shifts, shifts_path
from benchmark.rollout import Episode, rollout
from benchmark.runtime import resolve_device, resolve_workers, torch_threads
from benchmark.select import select
from benchmark.shifting import play_shifts
from benchmark.storage import discard, exclusive
from benchmark.train import Samples, Trainer, load_policy
from benchmark.workfolder import OtherSettings, WorkFolder
from envs.pool import Pool
from envs.spec import FieldSpec
from methods.base import Representation
from methods.frozen import count_parameters, fingerprint

LARGEST_RESIDENT = 2 * 2**30
"""Bytes of features that are held in memory."""


def run_cell(
    cell: Cell, paths: Paths, command: str, overwrite: bool = False, shifts: tuple[str, ...] = ()
) -> tuple[Record, bool]:
    """The cell's record, and whether anything was computed now. Raises `Busy` if another process is computing it.

    shifts: cameras under which the selected checkpoint is retested, beside those of the suite.
    """
    target, work = cell.record(paths), cell.work(paths)
    shifts = tuple(dict.fromkeys((*cell.settings.suite.shift, *shifts)))
    with exclusive(work / "lock", cell.label, wait=False):
        if target.exists() and not overwrite:
            try:
                record = read(target)
            except BadRecord as error:
                raise BadRecord(f"{error}; --overwrite computes it again") from error
            if record.identity_hash != cell.identity_hash():
                raise OtherSettings(
                    f"{target} is a record of other settings ({difference(record.identity, cell.identity())}). "
                    "Use --overwrite to replace it or --out DIR to keep both"
                )
            missing = tuple(camera for camera in shifts if camera not in read_shifts(target, record))
            if missing:
                from benchmark.afterwards import retest_under

                retest_under(CellRun(cell, paths, work, command), record, missing)
                plot_shifts(record, read_shifts(target, record), target.with_suffix(".shifts.png"))
            return record, bool(missing)
        await_silence(work, cell.label, say)
        if overwrite:
            for file in (target, shifts_path(target), further_path(target), further_actions(target)):
                discard(file)
            for file in work.glob("*"):
                if not file.name.startswith("lock"):
                    discard(file)
        run = CellRun(cell, paths, work, command)
        discard(work / "error.txt")  # of an earlier start
        with Pulse(work, run.facts()) as run.pulse:
            record = run.record(shifts)
        plot_shifts(record, read_shifts(target, record), target.with_suffix(".shifts.png"))
        return record, True


def prepare_cell(cell: Cell, paths: Paths) -> None:
    """Demonstrations, observations and features of a cell, so that others who share them find them there."""
    CellRun(cell, paths, cell.work(paths), "prepare").prepare()


class CellRun:
    """The state of one run of one cell. Methods follow each other in the order in which they are defined."""

    pulse: Pulse | None = None

    def __init__(self, cell: Cell, paths: Paths, work: Path, command: str) -> None:
        self.cell, self.paths, self.work, self.command = cell, paths, work, command
        self.suite, self.protocol = cell.settings.suite, cell.settings.protocol
        self.identity = cell.identity_hash()
        runtime = cell.settings.runtime
        self.device = resolve_device(runtime)
        self.bf16 = runtime.precision == "bf16"
        self.workers = resolve_workers(runtime)
        if runtime.threads != "auto":
            torch.set_num_threads(int(runtime.threads))
        self.kept = WorkFolder(work, self.identity, self.protocol)
        self.evaluations, self.timings = self.kept.evaluations, self.kept.timings
        self.looked_back = False

    def facts(self) -> dict[str, Any]:
        """Of this start, for `attempts.json` and the record."""
        device = provenance.describe_machine(self.device)["device"]
        return this_start(device, torch.__version__, torch.get_num_threads(), provenance.git_state()["commit"])

    def open_simulator(self) -> tuple[Demos, Pool, str]:
        suite, cell, python = self.suite, self.cell, self.cell.settings.env_python
        with self._timed("demonstrations"):
            demos = load_or_collect(
                self.paths.data, suite.name, suite.env, cell.task, self.protocol, self.workers, python
            )
        timeout = cell.settings.runtime.worker_timeout
        return demos, *open_pool(suite.env, cell.task, cell.request, self.workers, python, timeout)

    def prepare(self) -> None:
        demos, pool, fingerprint_ = self.open_simulator()
        with pool:
            self.make_policy(demos, self.cell.specs(), pool, fingerprint_)

    def record(self, shifts: tuple[str, ...]) -> Record:
        protocol, cell, specs = self.protocol, self.cell, self.cell.specs()
        demos, pool, fingerprint_ = self.open_simulator()
        with pool:
            policy, train_samples, valid_samples = self.make_policy(demos, specs, pool, fingerprint_)
            before = fingerprint(policy.representation)
            trainer = Trainer(policy, protocol, cell.seed, cell.batch_size, self.device, self.bf16)
            self._train_and_evaluate(trainer, train_samples, valid_samples, pool)
            after = fingerprint(policy.representation)
            if policy.representation.card.frozen and before != after:
                raise RuntimeError(f"{cell.method_name} is frozen by its card, but training changed it")
            selected = select(self.evaluations, protocol.select)
            retest, episodes = self._retest(policy, selected, pool)
            play_shifts(self.cell, self.paths, self.identity, policy, selected.epoch, shifts, self.play, self.workers)
            deaths = pool.deaths
        record = self._write(demos, trainer, selected, retest, episodes, fingerprint_, before, after, deaths)
        return record

    def make_policy(
        self, demos: Demos, specs: dict[str, FieldSpec], pool: Pool, renderer: str
    ) -> tuple[Policy, Samples, Samples]:
        """Build the policy, fit its normalisers on the training demonstrations, encode once what is frozen.

        Nothing is rendered where the features are there already and no normaliser has to be fitted.
        """
        cell = self.cell
        env = self.suite.env_class()
        torch.manual_seed(seeds.training_seed(cell.seed, "init"))
        representation = cell.build(specs)
        steps = demos.arrays["actions"].shape[1]
        train_rows = demos.train * steps
        targets = torch.from_numpy(demos.arrays["actions"].reshape(-1, env.action_spec.size))
        if self.protocol.clip_actions:
            low, high = torch.tensor(env.action_spec.low), torch.tensor(env.action_spec.high)
            targets = targets.clamp(low, high)
        part = representation.frozen_part
        if part is not None and representation.card.weights:
            # the head's start must not depend on how many numbers the encoder drew: it may be trained without it
            torch.manual_seed(seeds.training_seed(cell.seed, "head"))
        proprio_size, action_size = len(env.proprio_names), env.action_spec.size
        policy = make_policy(cell.settings.head, representation, proprio_size, action_size).to(self.device)

        @functools.cache
        def fields() -> dict[str, np.ndarray]:
            with self._timed("observations"):
                rendered = load_or_render(self.paths.data, demos, cell.request, pool, renderer)
            if representation.card.past_actions:
                rendered["past_actions"] = histories(demos.arrays["actions"], representation.card.past_actions)
            return rendered

        if type(representation).fit is not Representation.fit:
            representation.fit({name: mapped(array[:train_rows]) for name, array in fields().items()})
        representation.freeze_as_card_says()
        if part is None:
            tensors = {name: torch.from_numpy(np.array(array)).to(self.device) for name, array in fields().items()}
        elif not list(part.parameters()):  # a control: nothing is worth keeping
            with self._timed("features"):
                feature = encode_rows(policy, fields(), slice(0, len(targets)), self.device, self.bf16)
            tensors = {"feature": feature.to(self.device), "proprio": self._resident(fields()["proprio"])}
        else:
            cache = FeatureCache(
                self.paths.data, f"{cell.task}-{cell.method_name}", cache_key(demos, cell.request, renderer),
                policy, cell.options, self.device, self.bf16,
            )  # fmt: skip
            seen = self.timings.get("observations", 0.0)
            with self._timed("features"):
                stored, proprio = cache.load(fields, steps)
            self.timings["features"] -= self.timings.get("observations", 0.0) - seen
            tensors = {"feature": self._resident(stored), "proprio": self._resident(proprio)}
        samples = [
            Samples({name: tensor[rows] for name, tensor in tensors.items()}, targets[rows].to(self.device), steps)
            for rows in (slice(0, train_rows), slice(train_rows, None))
        ]
        policy.head.fit(samples[0].actions, samples[0].inputs["proprio"])
        return policy, samples[0], samples[1]

    def _resident(self, array: np.ndarray) -> torch.Tensor:
        """In the device's memory if it is small, else read from the file batch by batch."""
        return mapped(array) if array.nbytes > LARGEST_RESIDENT else torch.from_numpy(np.array(array)).to(self.device)

    def _train_and_evaluate(self, trainer: Trainer, train: Samples, valid: Samples, pool: Pool) -> None:
        newest = self.kept.newest()
        if newest is not None:
            trainer.restore(newest, self.identity)
        protocol, cell = self.protocol, self.cell
        self._say(epoch=trainer.epoch, epochs=protocol.epochs, epoch_at_start=trainer.epoch, training_since=time.time())
        title = f"train {cell.task} {cell.method_name} s{cell.seed}"
        for number, epoch in enumerate(protocol.evaluation_epochs):
            if trainer.epoch < epoch:
                with self._timed("training"), bar(title, protocol.epochs, trainer.epoch) as advance:
                    while trainer.epoch < epoch:
                        loss = trainer.train_epoch(train)
                        advance(note=f"loss {loss:.4f}")
                        self._say(epoch=trainer.epoch)
                        self.kept.save_now_and_then(trainer)
                    trainer.validate(valid)
                self.kept.save(trainer)
            if number >= len(self.evaluations):
                chosen = seeds.selection_seeds(self.suite.name, cell.task, number, protocol.rollouts)
                with self._played(trainer, epoch):
                    episodes = self.play(trainer.policy, chosen, pool, f"evaluate {cell.task} epoch {epoch}")
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

    def play(self, policy: Policy, chosen: list[int], pool: Pool, title: str) -> list[Episode]:
        policy.eval()
        on_gpu = self.device.type == "cuda"
        with self._timed("rollouts"), bar(title, len(chosen)) as advance, torch_threads(None if on_gpu else 1):
            return rollout(
                pool,
                lambda observations, memories: act(policy, observations, memories, self.device, self.bf16),
                chosen,
                self.protocol.horizon,
                self.protocol.success,
                advance,
                together=on_gpu,
            )

    def _retest(self, policy: Policy, selected: Evaluation, pool: Pool) -> tuple[Evaluation, list[Episode]]:
        load_policy(policy, self.kept.checkpoint(selected.epoch))
        chosen = seeds.retest_seeds(self.suite.name, self.cell.task, self.protocol.retest_rollouts)
        episodes = self.play(policy, chosen, pool, f"retest {self.cell.task} epoch {selected.epoch}")
        return evaluation_of(selected.epoch, episodes, None, None), episodes

    def _write(self, demos: Demos, trainer: Trainer, selected: Evaluation, retest: Evaluation,
               episodes: list[Episode], renderer: str, before: str, after: str, deaths: int) -> Record:  # fmt: skip
        cell, representation = self.cell, trainer.policy.representation
        card = representation.card
        facts = provenance.collect(self.device, self.command)
        record = Record(
            schema=SCHEMA, suite=self.suite.name, task=cell.task, method=cell.method_name,
            head=cell.settings.head.name, seed=cell.seed, protocol=self.protocol.name,
            identity=cell.identity(), identity_hash=self.identity, card=json.loads(json.dumps(card.as_dict())),
            success_rule=self.protocol.success, horizon=self.protocol.horizon,
            demo_hash=demos.content_hash,
            demos={"train": demos.train, "valid": len(demos.seeds) - demos.train, "attempts": demos.attempts},
            training={
                "optimizer_steps": trainer.steps, "batch_size": cell.batch_size, "epochs": trainer.epoch,
                "samples": demos.train * self.protocol.horizon,
                "parameters_encoder": count_parameters(representation),
                "parameters_total": count_parameters(trainer.policy),
                "parameters_trained": count_parameters(trainer.policy, trained_only=True),
                "train_loss": [epoch["train_loss"] for epoch in trainer.history],
            },
            evaluations=tuple(self.evaluations), selected_epoch=selected.epoch, retest=retest,
            frozen={"by_card": card.frozen, "before": before, "after": after, "unchanged": before == after},
            weights={"files": cell.weights.hashes(), "untrained": cell.weights.untrained, **cell.pretraining()},
            fingerprint=renderer,
            provenance=facts
            | {"worker_deaths": deaths, "workers": self.workers, "attempts": self.pulse.attempts if self.pulse else []},
            timings={name: round(seconds, 2) for name, seconds in self.timings.items()},
        )  # fmt: skip
        target = cell.record(self.paths)
        save_actions(target.with_suffix(".actions.npz"), episodes)
        plot_cell(record, target.with_suffix(".png"))
        write(record, target)
        return record

    def _say(self, **facts: Any) -> None:
        if self.pulse is not None:
            self.pulse.say(**facts)

    @contextmanager
    def _timed(self, phase: str) -> Iterator[None]:
        start = time.perf_counter()
        self._say(phase=phase)
        try:
            yield
        finally:
            self.timings[phase] = self.timings.get(phase, 0.0) + time.perf_counter() - start
