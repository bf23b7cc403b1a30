"""A record against itself and against the simulator: needs neither weights nor torch nor a GPU.

Replayed are the retest and those under other cameras or instructions, whose actions are kept beside the record. The
evaluations' actions are not kept, so of them only the book-keeping is checked: seeds, counts, selection.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmark import seeds
from benchmark.digest import digest
from benchmark.report.further import further_actions, read_further
from benchmark.report.joint import split
from benchmark.report.record import BadRecord, Evaluation, Record, Row
from benchmark.report.shifts import actions_path, read_shifts
from benchmark.seeds import parts
from benchmark.select import select
from envs.pool import EnvConfig, Pool, WorkerError
from envs.registry import UnknownName
from envs.spec import ObservationRequest
from envs.versions import NoSimulator, simulator_facts


@dataclass(frozen=True)
class Verdict:
    """Of one record. wrong: what contradicts it. not_replayed: what could not be checked, and why."""

    cell: str
    episodes: int
    replayed: int
    wrong: tuple[str, ...]
    not_replayed: tuple[str, ...]

    @property
    def holds(self) -> bool:
        return not self.wrong


def audit(record: Record, path: Path, workers: int, most: int | None = None, any_version: bool = False,
          python: str | None = None) -> Verdict:  # fmt: skip
    """Check a record. most: at most so many episodes are replayed. python: the simulator's interpreter."""
    cell = f"{record.protocol}/{record.suite}/{record.task}/{record.method}/{record.head}-s{record.seed}"
    wrong = list(_books(record))
    tasks = len(parts(record.task))
    kept = [("the retest", record.retest, path.with_suffix(".actions.npz"))]
    try:
        for camera, evaluation in read_shifts(path, record).items():
            what = f"the retest under {camera}"
            wanted = seeds.retest_seeds(record.suite, record.task, len(evaluation.episodes) // tasks)
            wrong += _counts(what, evaluation, wanted, record.horizon)
            kept.append((what, evaluation, actions_path(path, camera)))
        more = read_further(path, record)
        if more is not None:
            first, each = len(record.retest.episodes) // tasks, len(more.episodes) // tasks
            wanted = [
                seed for task in parts(record.task)
                for seed in seeds.retest_seeds(record.suite, task, first + each)[first:]
            ]  # fmt: skip
            wrong += _counts("what was played on", more, wanted, record.horizon)
            kept.append(("what was played on", more, further_actions(path)))
    except BadRecord as error:
        wrong.append(str(error))
    replayed, left = 0, []
    for what, evaluation, file in kept:
        for task, rows in split(evaluation, record.task).items():
            said = what if tasks == 1 else f"{what} of {task}"
            played, contradictions, missing = _replay(
                record, task, said, rows, file, workers, most, any_version, python
            )
            replayed += played
            wrong += contradictions
            left += missing
    return Verdict(cell, sum(len(e.episodes) for _, e, _ in kept), replayed, tuple(wrong), tuple(left))


def _books(record: Record) -> Iterator[str]:
    """What contradicts itself, without a simulator."""
    if digest(record.identity) != record.identity_hash:
        yield "its settings are not those that its identity_hash names"
    settings = record.identity.get("protocol", {})
    for name, now in (("success", record.success_rule), ("horizon", record.horizon)):
        if settings.get(name, now) != now:
            yield f"{name} is {now} in the record and {settings[name]} in its settings"
    for name in ("task", "seed"):
        if record.identity.get(name) != getattr(record, name):
            yield f"{name} is {getattr(record, name)} in the record and {record.identity.get(name)} in its settings"
    named = {name: record.identity.get(name, {}).get("name") for name in ("suite", "method", "head", "protocol")}
    for name, settled in named.items():
        said = getattr(record, name).partition("+")[0] if name == "method" else getattr(record, name)
        if said != settled:
            yield f"{name} is {said} in the record and {settled} in its settings"
    tasks = len(parts(record.task))
    for number, evaluation in enumerate(record.evaluations):
        wanted = seeds.selection_seeds(record.suite, record.task, number, len(evaluation.episodes) // tasks)
        yield from _counts(f"the evaluation of epoch {evaluation.epoch}", evaluation, wanted, record.horizon)
    wanted = seeds.retest_seeds(record.suite, record.task, len(record.retest.episodes) // tasks)
    yield from _counts("the retest", record.retest, wanted, record.horizon)
    for name in ("rollouts", "retest_rollouts"):
        there = {len(record.retest.episodes)} if name == "retest_rollouts" else {
            len(e.episodes) for e in record.evaluations
        }  # fmt: skip
        if name in settings and there != {tasks * settings[name]}:
            yield f"{name} is {tasks * settings[name]} by its settings, and there are {sorted(there)}"
    chosen = select(list(record.evaluations), settings.get("select", "first")).epoch
    if {record.selected_epoch, record.retest.epoch} != {chosen}:
        yield f"epoch {record.selected_epoch} was retested, but epoch {chosen} is the best of its evaluations"


def _counts(what: str, evaluation: Evaluation, wanted: list[int], horizon: int) -> Iterator[str]:
    rows, tally = evaluation.episodes, evaluation.tally
    if [row[0] for row in rows] != wanted:
        yield f"{what} was not run on the protocol's episodes"
    errors = sum(row[3] is not None for row in rows)
    found = sum(row[1] for row in rows), len(rows) - errors, errors
    if (tally.k, tally.n, tally.errors) != found:
        said, counted = (f"{k}/{n} with {e} errors" for k, n, e in ((tally.k, tally.n, tally.errors), found))
        yield f"{what} says {said}; its episodes give {counted}"
    if any(row[2] > horizon for row in rows):
        yield f"{what} has episodes longer than {horizon} steps"


def _replay(record: Record, task: str, what: str, rows: Sequence[Row], file: Path, workers: int, most: int | None,
            any_version: bool, python: str | None) -> tuple[int, list[str], list[str]]:  # fmt: skip
    """How many episodes were replayed, what contradicts them, and what could not be replayed."""
    env = record.env
    try:
        other = other_simulator(record, python)
    except (UnknownName, FileNotFoundError, ImportError, NoSimulator) as missing:
        return 0, [], [f"{what}: the simulator {env} is not here ({missing})"]
    if other and not any_version:
        return 0, [], [f"{what}: {other} (--any-version replays all the same)"]
    try:
        with np.load(file) as kept:
            actions = {name: kept[name] for name in kept.files}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as damage:
        return 0, [], [f"{what}: {file.name} cannot be read ({type(damage).__name__})"]
    wrong, left, jobs = [], [], []
    for row in rows[:most]:
        seed, _, steps, error = row
        if error is not None:
            left.append(f"episode {seed}: it could not be run then ({error})")
        elif str(seed) not in actions:
            left.append(f"episode {seed}: its actions were not kept")
        elif len(actions[str(seed)]) != steps:
            wrong.append(f"episode {seed} has {steps} steps in the record and {len(actions[str(seed)])} kept actions")
        else:
            jobs.append(row)
    if most is not None and len(rows) > most:
        left.append(f"{what}: {len(rows) - most} episodes, which were not asked for")
    if not jobs:
        return 0, wrong, left
    try:
        with Pool(EnvConfig(env, task, ObservationRequest(("proprio",)), python), min(workers, len(jobs))) as pool:
            replies = pool.map("replay", [(row[0], actions[str(row[0])]) for row in jobs])
            flags = dict(replies)
    except WorkerError as refusal:
        return 0, wrong, [*left, f"{what}: {refusal}"]
    for number, (seed, success, _, _) in enumerate(jobs):
        seen = flags[number]
        now = bool(seen[-1]) if record.success_rule == "last-step" else any(seen)
        if now != bool(success):
            wrong.append(
                f"episode {seed} is a {_word(success)} in the record and a {_word(now)} when its actions are played"
            )
        elif record.success_rule == "any-step" and any(seen[:-1]):
            wrong.append(f"episode {seed} succeeds at step {seen.index(True) + 1}, before the last of its kept actions")
    return len(jobs), wrong, left


def other_simulator(record: Record, python: str | None = None) -> str:
    """What of the simulator here is not as it was recorded, in words; empty if all is. What only draws or samples
    points is no part of a replay. Raises what looking the simulator up raises.
    """
    here, there = simulator_facts(record.env, python), record.identity["env"]
    pairs = [
        ("the simulator", there["version"], here["version"]),
        ("its source", there.get("source"), here.get("source")),
    ]
    versions = here["packages"].items()
    pairs += [(name, there["packages"].get(name), version) for name, version in versions]
    odd = [(name, then, now) for name, then, now in pairs if then != now]
    return "; ".join(f"recorded with {name} {then or 'unknown'}, and {now} is here" for name, then, now in odd[:2])


def _word(success: object) -> str:
    return "success" if success else "failure"
