"""What contradicts itself in a record, without a simulator: everything that follows from something else in it.

Checked whenever a record is read. Nothing here needs torch, weights or the files beside the record.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from baselines.facts import shipped_facts
from benchmark.records.hash_chain import break_in
from benchmark.records.label_check import misnamed
from benchmark.records.selected_checkpoint import select
from benchmark.settings import seeds
from benchmark.settings.head import left_out
from benchmark.settings.seeds import parts
from benchmark.settings.task_rules import horizon_of, rule_of, success_of
from benchmark.system.digest import digest

if TYPE_CHECKING:
    from benchmark.records.record import Evaluation, Record


def contradictions(record: Record) -> Iterator[str]:
    """Sentences; none for a record as a run leaves it."""
    yield from _names(record)
    yield from _method(record)
    yield from misnamed(record.protocol, record.head, record.identity)
    evaluations = list(_evaluations(record))
    yield from evaluations
    if not evaluations:
        yield from _training(record)
        yield from _demonstrations(record)
        broken = break_in(record)
        if broken:
            yield broken


def misplaced(path: Path, data: dict[str, Any]) -> Iterator[str]:
    """Where a record lies is its name. data: as it is in the file, in whichever schema."""
    from benchmark.records.paths import record_path

    names = ("protocol", "suite", "task", "method", "head", "seed")
    said: list[Any] = [data.get(name) for name in names]
    if not all(isinstance(value, str) for value in said[:-1]) or not isinstance(said[-1], int):
        yield f"one of its names, {', '.join(names)}, is no name"
        return
    wanted = record_path(Path(), *said).parts
    there = Path(os.path.abspath(path)).parts[-len(wanted) :]  # without `..`
    if wanted not in (there, Path(os.path.realpath(path)).parts[-len(wanted) :]):
        yield f"it is the record of {'/'.join(wanted)} and lies in {'/'.join(there)}"


def counts(what: str, evaluation: Evaluation, wanted: list[int], record: Record) -> Iterator[str]:
    """What is odd about one set of episodes. wanted: the protocol's seeds."""
    rows, tally = evaluation.episodes, evaluation.tally
    if [row[0] for row in rows] != wanted:
        yield f"{what} was not run on the protocol's episodes"
    errors = sum(row[3] is not None for row in rows)
    found = sum(row[1] for row in rows), len(rows) - errors, errors
    if (tally.k, tally.n, tally.errors) != found:
        said, counted = (f"{k}/{n} with {e} errors" for k, n, e in ((tally.k, tally.n, tally.errors), found))
        yield f"{what} says {said}; its episodes give {counted}"
    yield from _lengths(what, evaluation, record)
    if any(row[3] is None and not row[2] for row in rows):
        yield f"{what} has an episode of no steps"


def _lengths(what: str, evaluation: Evaluation, record: Record) -> Iterator[str]:
    """An episode ends by success, time, or as the simulator says."""
    tasks = parts(record.identity.get("task", record.task))
    each = max(1, len(evaluation.episodes) // len(tasks))
    rules = {task: [rule_of(record.identity, task, name) for name in ("horizon", "success")] for task in tasks}
    ended, seen = dict(evaluation.ended), set[int]()
    for number, (seed, success, steps, error) in enumerate(evaluation.episodes):
        horizon, rule = rules[tasks[min(number // each, len(tasks) - 1)]]
        word, stopped = "success" if success else "failure", success and rule == "any-step"
        seen |= {seed} if error is None and not stopped else set()
        if steps > horizon:
            yield f"{what} has episodes longer than {horizon} steps"
            return
        if error is None and steps < horizon and not stopped and seed not in ended:
            yield f"{what} has a {word} in episode {seed} after {steps} steps, before the {horizon} that it runs to"
            return
    if odd := sorted(set(ended) - seen):
        yield f"{what} says that the simulator ended episode {odd[0]}, which is not one that it could have ended"


def check_part(what: str, evaluation: Evaluation, wanted: list[int], record: Record) -> Iterator[str]:
    """Of episodes in a file beside the record: shifts, and those played further."""
    yield from counts(what, evaluation, wanted, record)
    if evaluation.epoch != record.selected_epoch:
        yield f"{what} was played by epoch {evaluation.epoch}, and epoch {record.selected_epoch} was selected"


def _names(record: Record) -> Iterator[str]:
    if digest(record.identity) != record.identity_hash:
        yield "its settings are not those that its identity_hash names"
    tasks = parts(record.task)
    by_rules = {"success": success_of(record.identity, tasks), "horizon": horizon_of(record.identity, tasks)}
    for name, now in (("success", record.success_rule), ("horizon", record.horizon)):
        if by_rules[name] != now:
            yield f"{name} is {now} in the record and {by_rules[name]} in its settings"
    for name in ("task", "seed"):
        if record.identity[name] != getattr(record, name):
            yield f"{name} is {getattr(record, name)} in the record and {record.identity[name]} in its settings"
    if len(set(tasks)) < len(tasks):
        yield f"task is {record.task}, which has the same episodes twice"
    for name in ("suite", "head", "protocol"):
        if getattr(record, name) != (settled := record.identity[name]["name"]):
            yield f"{name} is {getattr(record, name)} in the record and {settled} in its settings"
    simulator = record.identity["env"]
    if (".py:" in record.env) != ("source" in simulator):
        yield f"env is {record.env} in the record, and its settings do not say so"
    elif ".py:" not in record.env and record.env != simulator["name"]:
        yield f"env is {record.env} in the record and {simulator['name']} in its settings"


def _method(record: Record) -> Iterator[str]:
    """The label, the card and the weights say again what the settings say."""
    settled, card, used = record.identity["method"], record.card, record.weights
    name, *found = record.method.split("+")
    said = dict(part.partition("=")[::2] for part in found)
    weights, text = said.pop("weights", None), said.pop("text", None)
    if name != settled["name"]:
        yield f"method is {name} in the record and {settled['name']} in its settings"
    if said != settled.get("options", {}):
        yield f"the method is called {record.method} and was run with the options {settled.get('options', {})}"
    random = settled["weights"] == ["random"]
    if (weights == "random") != random or (weights is not None and not settled["weights"]):
        yield f"the method is called {record.method} and was run with the weights {settled['weights']}"
    if used["untrained"] != random:
        yield f"untrained is {used['untrained']} in the record and {random} by its settings"
    if not random and sorted(used["files"].values()) != sorted(settled["weights"]):  # JSON sorts the files by name
        yield "its weight files are not those of its settings"
    yield from _policy_weights(record)
    spoken = record.identity["suite"].get("language", {}).get("text")
    if (text or "clip") != (spoken or "clip") or used.get("text", {}).get("encoder") != spoken:
        yield f"its instructions were encoded by {spoken or 'nothing'}, and the record says otherwise"
    for key in ("name", "observes", "training", "batch"):
        if key in card and card[key] != settled[key]:
            yield f"the card says {key}={card[key]} and the settings {settled[key]}"
    facts = shipped_facts(settled["name"]) if "version" in settled else None
    if "version" in settled and facts is None:
        yield f"its settings say that {settled['name']} is a method of this project, which it is not"
    if facts is not None and facts.version == settled["version"]:
        facts = facts.under(settled.get("options", {}))
        for key in ("observes", "training", "batch"):
            if list(settled[key]) != list(getattr(facts, key)):
                yield f"its settings say {key}={settled[key]}, and the method of that name has {getattr(facts, key)}"
    frozen = record.frozen
    if frozen["by_card"] != (settled["training"] == "frozen"):
        yield f"frozen.by_card is {frozen['by_card']}, and the method's training is {settled['training']}"
    if frozen["unchanged"] != (frozen["before"] == frozen["after"]):
        yield f"frozen.unchanged is {frozen['unchanged']}, and its fingerprints say otherwise"
    if frozen["by_card"] and not frozen["unchanged"]:
        yield "the method is frozen by its card, and its weights changed in training"


def _policy_weights(record: Record) -> Iterator[str]:
    """What a policy over the representation began with, by the record, by its settings and by the head's label."""
    said, used = record.identity["head"].get("policy", {}).get("weights"), record.weights.get("policy")
    if (said is None) != (used is None):
        yield f"its policy began with {'nothing' if used is None else 'weights'}, and its settings say otherwise"
        return
    if said is None or used is None:
        return
    if used["untrained"] != (said == ["random"]):
        yield f"its policy's weights are random: {used['untrained']} in the record, not so by its settings"
    elif not used["untrained"] and sorted(used["files"].values()) != sorted(said):
        yield "its policy's weight files are not those of its settings"


def _evaluations(record: Record) -> Iterator[str]:
    tasks, settings = len(parts(record.task)), record.identity["protocol"]
    wanted = settings["rollouts"], settings["retest_rollouts"]
    sets = [("rollouts", wanted[0], e) for e in record.evaluations] + [("retest_rollouts", wanted[1], record.retest)]
    for name, each, evaluation in sets:
        if len(evaluation.episodes) != tasks * each:
            yield f"{name} is {tasks * each} by its settings, and there are {len(evaluation.episodes)}"
            return
    epochs, every, steps = settings["epochs"], settings["evaluate_every"], settings.get("steps", 0)
    planned = range(1, steps // every + 1) if steps else range(every, epochs + 1, every)
    if steps and record.training.get("evaluated_at_steps") != [number * every for number in planned]:
        yield f"its evaluations are not those after every {every} of {steps} steps"
        return
    if len(planned) != len(record.evaluations) or [e.epoch for e in record.evaluations] != list(planned):
        yield f"its evaluations are not those after every {every} of {epochs} epochs"
        return
    for number, evaluation in enumerate(record.evaluations):
        chosen = seeds.selection_seeds(record.suite, record.task, number, wanted[0])
        yield from counts(f"the evaluation of epoch {evaluation.epoch}", evaluation, chosen, record)
    chosen = seeds.retest_seeds(record.suite, record.task, wanted[1])
    yield from counts("the retest", record.retest, chosen, record)
    best = select(list(record.evaluations), settings["select"]).epoch
    if {record.selected_epoch, record.retest.epoch} != {best}:
        rule = "the last" if settings["select"] == "final" else "the best of its evaluations"
        yield f"epoch {record.selected_epoch} was retested, but epoch {best} is {rule}"


def _training(record: Record) -> Iterator[str]:
    settings, said = record.identity["protocol"], record.training
    size = settings["batch_size"].get(record.identity["method"]["batch"])
    tasks, lengths, each = parts(record.task), record.demos.get("train_lengths"), 1
    horizons = [rule_of(record.identity, task, "horizon") for task in tasks]
    if lengths is None:
        lengths, each = horizons, record.demos["train"] // len(tasks)
    else:
        train = settings["train_demos"]
        if len(lengths) != train * len(tasks) or any(n > horizons[i // train] for i, n in enumerate(lengths)):
            yield "demos.train_lengths are not those of its training demonstrations"
            return
    # of each demonstration every so-manieth step is looked at
    every_of = [rule_of(record.identity, task, "frame_every") or 1 for task in tasks]
    looks = [every_of[i * len(tasks) // len(lengths)] for i in range(len(lengths))]
    samples = each * sum(math.ceil(length / look) for length, look in zip(lengths, looks, strict=True))
    # training ends with the last evaluation
    every, steps = settings["evaluate_every"], settings.get("steps", 0)
    epochs = steps // every if steps else settings["epochs"] // every * every
    follows = {"epochs": epochs, "batch_size": size, "samples": samples}
    if size:
        # a last batch of one sample is left out: BatchNorm cannot normalise it
        head = record.identity["head"]
        known = all(type(head.get(name)) is int for name in ("pad_after", "chunk", "lead"))
        trained = [max(0, length - (left_out(head) if known else 0)) for length in lengths]
        rows = each * sum(math.ceil(length / look) for length, look in zip(trained, looks, strict=True))
        batches = rows // size + (rows % size > (1 if rows > 1 else 0))
        follows["optimizer_steps"] = steps // every * every if steps else batches * epochs
    for name, value in follows.items():
        if said[name] != value:
            yield f"training.{name} is {said[name]}, and its settings give {value}"
    losses = said["train_loss"]
    if len(losses) != epochs:
        yield f"there are {len(losses)} training losses of {epochs} epochs"
    elif any(e.train_loss != losses[e.epoch - 1] for e in record.evaluations):
        yield "the training losses of its evaluations are not those of its training"
    if not said["parameters_trained"] <= said["parameters_total"] >= said["parameters_encoder"]:
        yield "training.parameters_total is less than a part of it"


def _demonstrations(record: Record) -> Iterator[str]:
    tasks, settings = len(parts(record.task)), record.identity["protocol"]
    for name, each in (("train", settings["train_demos"]), ("valid", settings["valid_demos"])):
        if record.demos[name] != tasks * each:
            yield f"demos.{name} is {record.demos[name]}, and its settings give {tasks * each}"
    if record.demos["attempts"] < record.demos["train"] + record.demos["valid"]:
        yield "there were fewer attempts than demonstrations"
