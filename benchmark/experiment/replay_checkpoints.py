"""A finished cell's checkpoints, played again: that the method, with these settings, gives the numbers of its record.

The kept actions of a retest prove that somebody's policy succeeded. Only the weights tell whose: so where the work
folder of a record is there, its cell is built again from the record alone, must have the record's identity and
demonstrations, loads each checkpoint, which must have the hash that the record chains, and plays the episodes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmark.experiment.cell_of_record import NotHere, Where, cell_of
from benchmark.experiment.cell_run import CellRun
from benchmark.experiment.evaluation import evaluation_of
from benchmark.experiment.prepare import Prepared
from benchmark.experiment.replace_record import REPLACES
from benchmark.experiment.retest_shifted import played_under
from benchmark.experiment.rollout import Episode
from benchmark.experiment.task_data import TaskData, demo_file, join_hashes
from benchmark.records.actions import BadActions, read_actions, retest_actions
from benchmark.records.joint_tasks import split
from benchmark.records.paths import Paths
from benchmark.records.read import BadRecord
from benchmark.records.record import Evaluation, Record
from benchmark.records.shifted_retests import read_shifts, shift_actions
from benchmark.records.verdict import DECLARED, REPLAYED, Again, Part
from benchmark.settings import seeds
from benchmark.system import provenance
from benchmark.system.files import exclusive
from benchmark.training.checkpoint import DamagedCheckpoint, load_policy
from benchmark.training.trainer import Trainer
from envs.errors import UserError
from methods.policy import Policy

SAME_LOSS = 1e-3
"""Largest relative difference of two losses of one training: what rounding makes in one epoch."""
FIRST, SAME_ACTIONS = 5, 1e-2
"""How many actions of an episode are compared, and their largest difference. Later ones may part by rounding alone."""
OTHER_LOSS, OTHER_ACTIONS = 0.2, 0.5
"""Differences that no rounding makes."""
PLAYED = 2
"""Episodes of a retest that its checkpoint plays again."""


@dataclasses.dataclass(frozen=True)
class Doubt:
    """Something that is not as recorded. far: by more than rounding could make."""

    text: str
    far: bool


@dataclasses.dataclass(frozen=True)
class Elsewhere:
    """What the last bits of a policy depend on.

    what: how it differs between here and where the record was made, in words; empty where nothing does. same_kind:
    whether both are CPUs, or both GPUs: the draws of noise are the same.
    """

    what: str
    same_kind: bool


def play_checkpoints(record: Record, path: Path, work: Path, where: Where) -> Again:
    """best* and last by their checkpoints in `work`, the first epoch of training, and the retest's first actions."""
    chosen = {"best*": record.selected_epoch, "last": record.evaluations[-1].epoch}
    try:
        return _play(record, path, work, where, chosen)
    except NotHere as reason:
        return Again(notes=(f"the checkpoints in {work} were not played: {reason}",))


def _play(record: Record, path: Path, work: Path, where: Where, chosen: dict[str, int]) -> Again:
    out = work.parents[5]
    paths = Paths(out, where.data or out / "data")
    if ".py:" in record.env and record.env not in where.simulators:
        raise NotHere(f"its simulator is a file, which is run only where you name it: --simulator {record.env}")
    if (work / REPLACES).exists():
        raise NotHere("the cell is being computed again (--overwrite)")
    try:
        cell = cell_of(record, where)
        if why := cell.settings.simulator().not_replayable:
            raise NotHere(f"no episode of {record.env} can be played again: {why}")
        missing = [task for task in cell.tasks if not demo_file(cell, paths, task).exists()]
        if missing:
            raise NotHere(f"the demonstrations of {', '.join(missing)} are not under {paths.data} (--data)")
        with exclusive(work / "lock", cell.label, wait=False):
            run = CellRun(cell, paths, work, "audit", finished=record)
            with run.task_data() as task_data:
                return _compare(record, run, task_data, path, work, where, chosen)
    except (UserError, BadActions, OSError) as reason:
        raise NotHere(str(reason)) from reason


def _compare(
    record: Record,
    run: CellRun,
    task_data: list[TaskData],
    path: Path,
    work: Path,
    where: Where,
    chosen: dict[str, int],
) -> Again:
    demo_hash = join_hashes([of_task.demos for of_task in task_data])
    if demo_hash != record.demo_hash:
        raise NotHere(f"the demonstrations here are others ({demo_hash[:12]}, not {record.demo_hash[:12]})")
    prepared = run.prepare(task_data)
    policy, elsewhere = prepared.policy, _computed_elsewhere(record, run, task_data)
    doubts = _first_epoch(record, run, prepared)
    known = {e.epoch: (number, e) for number, e in enumerate(record.evaluations)}
    found, notes = {}, list[str]()
    for name, epoch in chosen.items():
        number, evaluation = known[epoch]
        file = work / f"epoch-{epoch:04d}.pt"
        part = Part(name, len(evaluation.episodes))
        if not file.exists():
            continue
        try:
            weights = load_policy(policy, file, record.hashes, epoch)
        except DamagedCheckpoint as error:
            notes.append(str(error))
            continue
        if evaluation.checkpoint not in (None, weights):
            found[name] = dataclasses.replace(part, wrong=(f"{file} is not the checkpoint that was evaluated",))
            continue
        each = min(run.protocol.rollouts, where.most) if where.most is not None else run.protocol.rollouts
        wanted = {
            t: seeds.selection_seeds(record.suite, t, number, run.protocol.rollouts)[:each] for t in run.cell.tasks
        }
        found[name] = _judged(part, evaluation, _played(run, policy, task_data, wanted, epoch, weights), elsewhere)
    if "best*" in found:
        load_policy(policy, work / f"epoch-{record.selected_epoch:04d}.pt", record.hashes, record.selected_epoch)
        doubts += _retest_is_its_own(record, run, policy, task_data, path)
        doubts += _shifts_are_its_own(record, run, policy, task_data, path)
    if doubts:
        found["retest"] = _doubted(Part("retest", len(record.retest.episodes)), doubts, elsewhere)
    whole = "best*" in found and not any(part.wrong or part.left for part in found.values())
    settings = f"{REPLAYED} from its training's first epoch and checkpoint" if whole else DECLARED
    return Again(found, settings, tuple(notes))


def _first_epoch(record: Record, run: CellRun, prepared: Prepared) -> list[Doubt]:
    """Train for one epoch, with the record's seed and demonstrations, and compare the loss. Changes the policy."""
    trainer = Trainer(prepared.policy, run.protocol, record.seed, run.cell.batch_size, run.device, run.bf16)
    now, then = trainer.train_epoch(prepared.train), record.training["train_loss"][0]
    differs = abs(now - then) / max(abs(then), abs(now), 1e-12)
    if differs <= SAME_LOSS:
        return []
    text = f"its training begins with a loss of {now:.6g}, and the record says {then:.6g}"
    return [Doubt(text, differs > OTHER_LOSS)]


def _retest_is_its_own(
    record: Record, run: CellRun, policy: Policy, task_data: list[TaskData], path: Path
) -> list[Doubt]:
    """See that the weights which were selected send the retest's kept actions: then these are this method's."""
    found: list[Doubt] = []
    for task, rows in split(record.retest, record.task).items():
        (of_task,) = (of_task for of_task in task_data if of_task.task == task)
        first = [row[0] for row in rows if row[3] is None][:PLAYED]
        if first:
            episodes = run.play(policy, task, first, of_task.pool, f"audit {task} retest")
            found += _other_actions(episodes, retest_actions(path), record.longest)
    return found


def _shifts_are_its_own(
    record: Record, run: CellRun, policy: Policy, task_data: list[TaskData], path: Path
) -> list[Doubt]:
    """As `_retest_is_its_own`, under each shift that episodes could be run under."""
    found: list[Doubt] = []
    try:
        shifts = read_shifts(path, record)
    except BadRecord:
        return []  # the audit has said so
    demos = {of_task.task: of_task.demos for of_task in task_data}
    for shift, evaluation in shifts.items():
        errors = {row[0] for row in evaluation.episodes if row[3] is not None}
        for task in run.cell.tasks:
            episodes = played_under(run.cell, task, shift, policy, run.play, run.workers, demos.__getitem__, PLAYED)
            there = [episode for episode in episodes if episode.seed not in errors]
            doubts = _other_actions(there, shift_actions(path, shift), record.longest)
            found += [Doubt(f"under {shift} {doubt.text}", doubt.far) for doubt in doubts]
    return found


def _other_actions(episodes: Sequence[Episode], file: Path, horizon: int) -> list[Doubt]:
    kept = read_actions(file, horizon)
    found = []
    for episode in episodes:
        then, now = kept.get(str(episode.seed), episode.actions[:0])[:FIRST], episode.actions[:FIRST]
        differs = float(np.abs(then - now).max(initial=0.0)) if then.shape == now.shape else float("inf")
        if differs > SAME_ACTIONS:
            text = f"the actions of episode {episode.seed} are not those that its checkpoint sends"
            found.append(Doubt(text, differs > OTHER_ACTIONS))
    return found


def _doubted(part: Part, doubts: Sequence[Doubt], elsewhere: Elsewhere) -> Part:
    """What is far off is wrong on any machine; what rounding could make is wrong only where nothing rounds otherwise.

    On another kind of device the draws are others too, so there nothing can be told.
    """
    wrong = [d.text for d in doubts if not elsewhere.what or (d.far and elsewhere.same_kind)]
    left = [f"{d.text}; {elsewhere.what}, which rounds otherwise" for d in doubts if d.text not in wrong]
    return dataclasses.replace(part, wrong=tuple(wrong), left=tuple(left))


def _played(
    run: CellRun,
    policy: Policy,
    task_data: Sequence[TaskData],
    wanted: dict[str, list[int]],
    epoch: int,
    weights: str | None,
) -> Evaluation:
    played = []
    for of_task in task_data:
        title = f"audit {of_task.task} epoch {epoch}"
        played += run.play(policy, of_task.task, wanted[of_task.task], of_task.pool, title)
    return evaluation_of(epoch, played, weights)


def _judged(part: Part, then: Evaluation, now: Evaluation, elsewhere: Elsewhere) -> Part:
    """Episodes of one checkpoint then and now; those that could not be run then or now say nothing."""
    recorded = {row[0]: row for row in then.episodes if row[3] is None}
    both = [row for row in now.episodes if row[3] is None and row[0] in recorded]
    odd = [row for row in both if recorded[row[0]] != row]
    if not odd:
        return dataclasses.replace(part, replayed=len(both))
    (seed, success, steps, _), was = odd[0], recorded[odd[0][0]]
    text = (
        f"{len(odd)} of {len(both)} episodes of the checkpoint are not as recorded: episode {seed} is "
        f"{_outcome(success, steps)} now and {_outcome(was[1], was[2])} in the record"
    )
    return _doubted(part, [Doubt(text, far=False)], elsewhere)


def _outcome(success: int, steps: int) -> str:
    return f"a {'success' if success else 'failure'} after {steps} steps"


def _computed_elsewhere(record: Record, run: CellRun, task_data: Sequence[TaskData]) -> Elsewhere:
    machine, here = record.provenance.get("machine", {}), provenance.describe_machine(run.device)
    then: dict[str, Any] = {"torch": record.provenance.get("versions", {}).get("torch")}
    then |= {key: machine.get(key) for key in ("cpu", "device")}
    now = {"torch": torch.__version__, "cpu": here["cpu"], "device": here["device"]}
    odd = [f"{key} was {then[key]} and is {now[key]}" for key in then if then[key] != now[key]]
    starts = [one for one in record.provenance.get("attempts", []) if isinstance(one, dict)]
    for key in ("host", "device", "torch", "threads"):
        different = sorted({str(one.get(key)) for one in starts})
        if len(different) > 1:
            odd.append(f"it was computed with more than one {key} ({', '.join(different)})")
    if run.cell.request.renders and task_data[0].fingerprint != record.fingerprint:
        odd.append(f"the renderer was {record.fingerprint} and is {task_data[0].fingerprint}")
    return Elsewhere("; ".join(odd), (then["device"] == "cpu") == (now["device"] == "cpu"))
