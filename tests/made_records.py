"""Records that were never run and agree with themselves, so that they can be written and read like real ones."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from benchmark.records.joint_tasks import of_rows
from benchmark.records.record import SCHEMA, Evaluation, Record, Row
from benchmark.records.selected_checkpoint import select
from benchmark.settings import seeds
from benchmark.settings.load import choices, load_protocol
from benchmark.settings.seeds import parts
from benchmark.system.digest import digest

HORIZON = 200


def rows_of(wanted: Sequence[int], evaluation: Evaluation, horizon: int = HORIZON) -> tuple[Row, ...]:
    """Episodes with the protocol's seeds and the outcomes of the evaluation; of its counts alone: successes first."""
    known = list(evaluation.episodes)
    if not known:
        tally = evaluation.tally
        outcomes = [(1, None)] * tally.k + [(0, None)] * (tally.n - tally.k) + [(0, "the worker died")] * tally.errors
        known = [(0, success, 50, error) for success, error in outcomes]  # type: ignore[misc]
    assert len(known) == len(wanted), (len(known), len(wanted))
    return tuple(
        (seed, success, (min(max(steps, 1), horizon) if success else 0 if error else horizon), error)
        for seed, (_, success, steps, error) in zip(wanted, known, strict=True)
    )


def asked(evaluation: Evaluation) -> int:
    return evaluation.tally.n + evaluation.tally.errors


def written(protocol: str) -> dict[str, Any]:
    """A registered protocol's numbers, {} of any other label."""
    if protocol not in choices("protocol"):
        return {}
    numbers = dataclasses.asdict(load_protocol(protocol))
    return {key: value for key, value in numbers.items() if key not in ("title", "source")}


def of_all_epochs(record: Record) -> Record:
    """With as many evaluations as its protocol makes: those between the first and the last are like the last."""
    numbers = written(record.protocol)
    if not numbers or record.identity.get("protocol", {}).get("epochs", numbers["epochs"]) != numbers["epochs"]:
        return record
    every, count = numbers["evaluate_every"], numbers["epochs"] // numbers["evaluate_every"]
    first, last = record.evaluations[0], record.evaluations[-1]
    own = record.evaluations if len(record.evaluations) == count else (first, *[last] * (count - 1))
    epochs = [every * (number + 1) for number in range(count)]
    evaluations = tuple(dataclasses.replace(e, epoch=epoch) for e, epoch in zip(own, epochs, strict=True))
    return dataclasses.replace(record, evaluations=evaluations)


def agreeing(record: Record, **protocol: Any) -> Record:
    """The record with its own outcomes, names and labels, and all that follows from them. protocol: numbers of it.

    Its evaluations must be of equally many episodes. What identity says beyond what it must stays as it is.
    """
    tasks = len(parts(record.task))
    record = of_all_epochs(record)
    every = record.evaluations[0].epoch
    epochs = every * len(record.evaluations)
    counts = {asked(e) if not e.episodes else len(e.episodes) for e in record.evaluations}
    assert len(counts) == 1, counts
    rollouts = counts.pop() // tasks
    retest = (len(record.retest.episodes) or asked(record.retest)) // tasks
    numbers = {
        "train_demos": 25,
        "valid_demos": 5,
        "horizon": HORIZON,
        "epochs": epochs,
        "evaluate_every": every,
        "rollouts": rollouts,
        "retest_rollouts": retest,
        "success": record.success_rule,
        "select": "first",
        "batch_size": {"2d": 256, "3d": 16},
        **written(record.protocol),
        **record.identity.get("protocol", {}),
        **protocol,
        "name": record.protocol,
    }
    horizon = numbers["horizon"]
    evaluations = []
    for number, evaluation in enumerate(record.evaluations):
        wanted = seeds.selection_seeds(record.suite, record.task, number, rollouts)
        one = of_rows(every * (number + 1), rows_of(wanted, evaluation, horizon))
        evaluations.append(dataclasses.replace(one, train_loss=0.5, valid_loss=evaluation.valid_loss))
    chosen = select(evaluations, numbers["select"]).epoch
    again = of_rows(chosen, rows_of(seeds.retest_seeds(record.suite, record.task, retest), record.retest, horizon))
    name, *found = record.method.split("+")
    options = dict(part.partition("=")[::2] for part in found)
    weights, text = options.pop("weights", None), options.pop("text", None)
    card, known = record.card, record.identity.get("method", {})
    method = {
        **known,
        "name": name,
        "observes": list(card["observes"]),
        "training": card["training"],
        "batch": card["batch"],
        "weights": [] if weights is None else ["random"] if weights == "random" else ["0" * 64],
    }
    if options:
        method["options"] = options
    suite = {**record.identity.get("suite", {}), "name": record.suite}
    if text is not None:
        suite["language"] = {**suite.get("language", {}), "text": text}
    observation = {"fields": [*card["observes"], "proprio"], **record.identity.get("observation", {})}
    identity = {
        **record.identity,
        "schema": SCHEMA,
        "harness": record.identity.get("harness", 1),
        "suite": suite,
        "task": record.task,
        "seed": record.seed,
        "protocol": numbers,
        "method": method,
        "observation": observation,
        "head": {**record.identity.get("head", {}), "name": record.head},
        "precision": record.identity.get("precision", "fp32"),
    }
    train, valid = tasks * numbers["train_demos"], tasks * numbers["valid_demos"]
    size, samples = numbers["batch_size"][card["batch"]], train * horizon
    batches = samples // size + (samples % size > 1)
    training = {
        "parameters_encoder": 59_072,
        "parameters_total": 500_000,
        "parameters_trained": 250_000,
        **record.training,
        "epochs": numbers["epochs"],
        "batch_size": size,
        "samples": samples,
        "train_loss": [0.5] * numbers["epochs"],
        "optimizer_steps": batches * numbers["epochs"],
    }
    frozen = {
        "by_card": card["training"] == "frozen",
        "before": "a",
        "after": "a" if card["training"] == "frozen" else "b",
    }
    used: dict[str, Any] = {
        **record.weights,
        "untrained": weights == "random",
        "files": {f"{weights}.pt": "0" * 64} if method["weights"] not in ([], ["random"]) else {},
    }
    if suite.get("language", {}).get("text"):
        used["text"] = {"encoder": suite["language"]["text"], "weights": []}
    return dataclasses.replace(
        record,
        schema=SCHEMA,
        identity=identity,
        identity_hash=digest(identity),
        horizon=horizon,
        success_rule=numbers["success"],
        card={**_plain(card), "name": name},
        evaluations=tuple(evaluations),
        selected_epoch=chosen,
        retest=again,
        training=training,
        weights=used,
        demos={"train": train, "valid": valid, "attempts": train + valid},
        frozen={**frozen, "unchanged": frozen["before"] == frozen["after"]},
    )


def _plain(data: Any) -> Any:
    """Tuples as lists, as JSON gives them back."""
    if isinstance(data, dict):
        return {key: _plain(value) for key, value in data.items()}
    return [_plain(value) for value in data] if isinstance(data, (list, tuple)) else data
