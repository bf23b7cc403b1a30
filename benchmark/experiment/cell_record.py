"""A finished cell as its record, with what lies beside it: actions, source, plot. Whole first, then in its place."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.experiment.cell import Cell
from benchmark.experiment.evaluation import actions_of, began_of
from benchmark.experiment.method_source import keep_source, source_folder
from benchmark.experiment.replace_record import publish, staged
from benchmark.experiment.rollout import Episode
from benchmark.experiment.task_data import TaskData, join_hashes
from benchmark.experiment.work_folder import WorkFolder
from benchmark.records.actions import BadActions, evaluations_actions, read_actions, retest_actions, write_actions
from benchmark.records.beginnings import beginnings_file, not_replayable_facts, write_beginnings
from benchmark.records.paths import Paths
from benchmark.records.read import wrong_in
from benchmark.records.record import SCHEMA, Evaluation, Record
from benchmark.records.write import write
from benchmark.report.plots import plot_cell
from benchmark.settings.task_rules import horizon_of, success_of
from benchmark.system.digest import digest
from benchmark.system.progress import say
from benchmark.training.trainer import Trainer
from methods.frozen import count_parameters
from methods.policy import Policy


@dataclass(frozen=True)
class Finished:
    """What is known of a cell once its last episode was played.

    names: its identity. kept: its evaluations and timings. episodes: of the retest. frozen: hashes of what the card
    calls frozen, before and after training. provenance: where, when and by what code it was made.
    """

    cell: Cell
    names: dict[str, Any]
    kept: WorkFolder
    trainer: Trainer
    task_data: Sequence[TaskData]
    retest: Evaluation
    episodes: list[Episode]
    frozen: tuple[str, str]
    provenance: dict[str, Any]


def leave_record(finished: Finished, paths: Paths, work: Path) -> Record:
    """Write the record and what belongs to it, in place of an older one, and return it as it was written.

    work: the cell's work folder. Raises RuntimeError for a record that nobody could read.
    """
    cell, record = finished.cell, compose(finished)
    target = staged(cell.record(paths))
    keep_source(cell.texts(), source_folder(target))
    write_actions(retest_actions(target), actions_of(finished.episodes))
    if began := began_of(finished.episodes):
        write_beginnings(beginnings_file(target), began)
    if cell.settings.runtime.keep_actions == "all":
        write_actions(evaluations_actions(target), _kept_actions(finished.kept, record.horizon))
    plot_cell(record, target.with_suffix(".png"))
    record = write(record, target)
    if wrong := wrong_in(target):
        raise RuntimeError(f"the record of {cell.label} would contradict itself: {wrong[0]}")
    publish(work, cell.record(paths))
    return record


def compose(finished: Finished) -> Record:
    cell, trainer = finished.cell, finished.trainer
    suite, protocol, card = cell.settings.suite, cell.settings.protocol, cell.card
    demos = [of_task.demos for of_task in finished.task_data]
    train, collected = sum(one.train for one in demos), sum(len(one.seeds) for one in demos)
    before, after = finished.frozen
    return Record(
        schema=SCHEMA,
        suite=suite.name,
        task=cell.task,
        method=cell.method_name,
        head=cell.settings.head.name,
        seed=cell.seed,
        protocol=protocol.name,
        identity=finished.names,
        identity_hash=digest(finished.names),
        env=suite.env,
        card=json.loads(json.dumps(card.as_dict())),
        success_rule=success_of(finished.names, cell.tasks),
        horizon=horizon_of(finished.names, cell.tasks),
        demo_hash=join_hashes(demos),
        demos={
            "train": train,
            "valid": collected - train,
            "attempts": sum(one.attempts for one in demos),
            **_lengths(finished),
            **drawn_elsewhere(finished.task_data),
        },
        training=_training(trainer.policy, trainer, cell.batch_size, _frames(finished)),
        evaluations=tuple(finished.kept.evaluations),
        selected_epoch=finished.retest.epoch,
        retest=finished.retest,
        frozen={"by_card": card.frozen, "before": before, "after": after, "unchanged": before == after},
        weights={
            "files": cell.weights.hashes(),
            "untrained": cell.weights.untrained,
            **cell.pretraining(),
            **cell.policy_weights_facts(),
            **cell.text_encoder_facts(),
        },
        fingerprint=finished.task_data[0].fingerprint,
        provenance=finished.provenance
        | not_replayable_facts(cell.settings.simulator().not_replayable, began_of(finished.episodes)),
        timings={name: round(seconds, 2) for name, seconds in finished.kept.timings.items()},
    )


def drawn_elsewhere(task_data: Sequence[TaskData]) -> dict[str, Any]:
    """`drawn_by`: of demonstrations that hold what was observed, by what, where that is not what is played in."""
    drawn = {t.demos.sensors.fingerprint for t in task_data if t.demos.sensors is not None}
    other = sorted(drawn - {t.fingerprint for t in task_data})
    return {"drawn_by": other} if other else {}


def _frames(finished: Finished) -> int:
    """Of the training demonstrations, those that are looked at."""
    rules = finished.cell.settings.of_task
    return sum(one.demos.every(rules(one.task).frame_every).train_rows for one in finished.task_data)


def _lengths(finished: Finished) -> dict[str, Any]:
    """`train_lengths`: steps of each training demonstration, task by task; {} if all go to their horizon."""
    settings, found, short = finished.cell.settings, list[int](), False
    for of_task in finished.task_data:
        own = of_task.demos.episodes.first(of_task.demos.train).lengths
        short |= set(own) != {settings.of_task(of_task.task).horizon}
        found += own
    return {"train_lengths": found} if short else {}


def _training(policy: Policy, trainer: Trainer, batch_size: int, samples: int) -> dict[str, Any]:
    more: dict[str, Any] = {}
    if any("terms" in epoch for epoch in trainer.history):
        names = dict.fromkeys(name for epoch in trainer.history for name in epoch.get("terms", ()))
        more["loss_terms"] = {name: [epoch.get("terms", {}).get(name) for epoch in trainer.history] for name in names}
    if trainer.protocol.steps:
        more["evaluated_at_steps"] = [epoch["step"] for epoch in trainer.history]
    return {
        "optimizer_steps": trainer.steps,
        "batch_size": batch_size,
        "epochs": trainer.epoch,
        "samples": samples,
        "parameters_encoder": count_parameters(policy.representation) if policy.representation is not None else 0,
        "parameters_total": count_parameters(policy),
        "parameters_trained": count_parameters(policy, trained_only=True),
        "train_loss": [epoch["train_loss"] for epoch in trainer.history],
        **more,
    }


def _kept_actions(kept: WorkFolder, horizon: int) -> dict[str, np.ndarray]:
    """`epoch-seed` -> actions, of all evaluations whose actions were kept."""
    found: dict[str, np.ndarray] = {}
    for evaluation in kept.evaluations:
        try:
            own = read_actions(kept.actions(evaluation.epoch), horizon)
        except BadActions as error:  # of an evaluation before they were asked for; an audit says so
            say(f"the actions of epoch {evaluation.epoch} are not kept: {error}")
            continue
        found |= {f"{evaluation.epoch}-{seed}": actions for seed, actions in own.items()}
    return found
