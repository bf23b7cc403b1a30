"""The cell that would make a record again, built from nothing but the record."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from benchmark.experiment.cell import Cell
from benchmark.experiment.make_cells import make_cells, read_label
from benchmark.records.record import Record
from benchmark.records.simulator_options import options_in
from benchmark.settings.labels import base_of
from benchmark.settings.load import choices, head_from, load_settings, settle
from benchmark.settings.policy import WINDOW, WITHOUT, PolicyConfig
from benchmark.settings.protocol import Protocol
from benchmark.settings.seeds import parts
from benchmark.settings.suite import Suite
from benchmark.settings.task_rules import TaskRules
from benchmark.settings.user_files import in_own_folder, own_folder
from benchmark.system.difference import difference
from envs.spec import ObservationRequest
from methods.code import code_facts
from methods.registry import is_known, policy_class, table

MOST_THREADS = 256


class NotHere(Exception):
    """The checkpoints cannot be played here. The message says why, as the end of a sentence."""


@dataclasses.dataclass(frozen=True)
class Where:
    """What is needed beside a record. data: demonstrations; None for OUT/data. python: the simulator's interpreter.
    methods, simulators: files of the user's that may be run, as `path/to/file.py:Class`. weights, policy_weights: the
    file, for records that were made with one. most: at most so many episodes of each. workers: simulators at once;
    None: as many as `bench run` would start here."""

    data: Path | None = None
    python: str | None = None
    methods: tuple[str, ...] = ()
    simulators: tuple[str, ...] = ()
    weights: str | None = None
    most: int | None = None
    policy_weights: str | None = None
    workers: int | None = None


def cell_of(record: Record, where: Where) -> Cell:
    """The cell that would make this record now. Raises `NotHere` where it would be another."""
    facts = record.identity
    method, protocol, head = facts["method"]["name"], base_of(record.protocol), base_of(record.head)
    ours = "chunk" in facts["head"] and "denoiser" not in facts["head"]  # a policy in the place of a head
    for kind, name in (("suite", record.suite), ("protocol", protocol), ("head", head)):
        if ours and kind == "head":
            continue
        if name not in choices(kind) and name not in in_own_folder(kind):
            raise NotHere(f"there is no {kind} called {name} here, nor in {own_folder() / kind}")
    said = [f"env.{record.env}.{key}={json.dumps(value)}" for key, value in options_in(record).items()]
    settings = load_settings(record.suite, protocol, None if ours else head, said)
    numbers = {**dataclasses.asdict(settings.protocol), **facts["protocol"]}
    threads = record.provenance.get("torch_threads", "auto")
    runtime = dataclasses.replace(
        settings.runtime,
        precision=facts["precision"],
        threads=threads if threads in range(1, MOST_THREADS) else "auto",
        workers=where.workers or "auto",
    )
    settings = dataclasses.replace(
        settings,
        suite=_suite_of(record, settings.suite),
        env_python=where.python,
        runtime=runtime,
        head_asked=False,
        protocol=settle(Protocol, numbers, "protocol"),
        head=_policy(record, where) if ours else head_from(_without_packages(facts["head"])),
        policy_options={key: value for key, value in facts["head"].items() if key in WINDOW} if ours else {},
    )
    _, labelled, settings = read_label(record.method, settings)
    target = method
    if "source" in facts["method"]:
        target = _file(where, method, facts["method"].get("class"))
    elif not is_known(method):
        raise NotHere(f"there is no method called {method} here")
    weights = "random" if labelled == "random" else where.weights if labelled else None
    if labelled not in (None, "random") and weights is None:
        raise NotHere(f"it was made with weights called {labelled}: give the file with --weights")
    (cell,) = make_cells(settings, [record.task], [target], [record.seed], weights)
    now = cell.identity()
    if now != facts:
        raise NotHere(f"this cell would be another now ({difference(facts, now)})")
    return cell


def _file(where: Where, name: str, kind: Any) -> str:
    files = [file for file in where.methods if file.endswith(f":{kind}")]
    if not files:
        raise NotHere(f"{name} is a file of somebody's, which is run only where you name it: --method FILE:Class")
    return files[0]


def _without_packages(head: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in head.items() if key != "packages"}


def _policy(record: Record, where: Where) -> PolicyConfig:
    """A policy over a representation, by the code that is named for it; of a whole one the method says which."""
    head = record.identity["head"]
    window = {key: head[key] for key in WINDOW}
    if "policy" not in head:
        return PolicyConfig(record.head, "", **window)
    name, code, options = head["policy"]["name"], head["policy"]["code"], head["policy"].get("options", {})
    if "source" not in code and name not in table():
        raise NotHere(f"there is no policy called {name} here")
    target = _file(where, name, code.get("class")) if "source" in code else name
    begun = _begun_with(record, head["policy"].get("weights"), target, where)
    return PolicyConfig(
        record.head, target, **window, card=name, code=code_facts(target), options=options, weights=begun
    )


def _begun_with(record: Record, hashes: Any, target: str, where: Where) -> str:
    """`policy.weights` of a record whose policy began with these files. Raises `NotHere`."""
    card = policy_class(target).card
    without = WITHOUT if card.begins_as else ""
    if hashes == ["random"]:
        return "random"
    files = set(record.weights.get("policy", {}).get("files", {}))
    published = {file.filename for file in policy_class(card.begins_as).card.weights} if card.begins_as else set()
    if not hashes or files <= published:
        return without
    if where.policy_weights is None:
        raise NotHere(f"its policy began with {', '.join(sorted(files))}: give the file with --policy-weights")
    return where.policy_weights


def _suite_of(record: Record, suite: Suite) -> Suite:
    """The suite with the record's simulator, tasks and observation. The identity decides whether that was all of it."""
    options = {field.name for field in dataclasses.fields(ObservationRequest)} - {"fields", "num_points", "virtual"}
    seen = {key: value for key, value in record.identity["observation"].items() if key in options}
    known = suite.tasks if set(parts(record.task)) <= set(suite.task_names) else {"all": tuple(parts(record.task))}
    said = record.identity["suite"]
    rules = settle(TaskRules, said.get("rules", {}), "suite.rules")
    named = said.get("task_rules", {})
    task_rules = {task: settle(TaskRules, one, f"suite.task_rules.{task}") for task, one in named.items()}
    if missing := set(task_rules) - {task for group in known.values() for task in group}:
        raise NotHere(f"its suite has rules for {min(missing)}, which is no task of {suite.name} here")
    return dataclasses.replace(
        suite,
        env=record.env,
        tasks=known,
        observation={**suite.observation, "sizes": None, "splat": 1, **seen},  # what a record says nothing of
        rules=rules,
        task_rules=task_rules,
    )
