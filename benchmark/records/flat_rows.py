"""A record as flat rows of plain values: what frames, exports and pages are made from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmark.records.further_episodes import read_further
from benchmark.records.pooling import pooling_key
from benchmark.records.read import BadRecord
from benchmark.records.record import Evaluation, Record
from benchmark.records.shifted_retests import read_shifts
from benchmark.records.shipped_methods import reported_as

EVALUATED, RETESTED, SHIFTED, PLAYED_ON = "evaluation", "retest", "shift", "further"
"""The kinds of episode sets."""


def names(record: Record) -> dict[str, Any]:
    """What a cell is called, in the order in which cells are sorted."""
    return {
        "suite": record.suite,
        "protocol": record.protocol,
        "task": record.task,
        "method": record.method,
        "head": record.head,
        "seed": record.seed,
    }


def order(record: Record) -> tuple[Any, ...]:
    """Sorting key by `names`."""
    return tuple(names(record).values())


def counts(record: Record) -> dict[str, Any]:
    """The three numbers of a cell as counts, and its episodes that could not be run."""
    test, best, last = record.retest.tally, record.best, record.last
    return {
        "retest_k": test.k,
        "retest_n": test.n,
        "best_k": best.k,
        "best_n": best.n,
        "last_k": last.k,
        "last_n": last.n,
        "errors": record.errors,
        "failed_actions": record.failed_actions,
    }


def facts(record: Record) -> dict[str, Any]:
    """What holds for all episode sets of a cell; the columns of `benchmark.records.frame` say what each is."""
    trained = record.training
    return {
        "tasks_of_policy": record.identity.get("task", record.task),
        "reference": record.reference,
        "conditions": pooling_key(record),
        "reported_as": reported_as(record),
        "method_kind": record.card.get("kind"),
        "training": record.card.get("training"),
        "untrained": bool(record.weights.get("untrained")),
        "random_teacher": bool(record.weights.get("pretraining", {}).get("untrained_teacher")),
        "optimizer_steps": trained.get("optimizer_steps"),
        "parameters_encoder": trained.get("parameters_encoder"),
        "parameters_trained": trained.get("parameters_trained"),
        "seconds": sum(record.timings.values()),
        "success_rule": record.success_rule,
        "horizon": record.horizon,
        "demo_hash": record.demo_hash,
        "identity_hash": record.identity_hash,
        "fingerprint": record.fingerprint,
        "commit": (record.provenance.get("git") or {}).get("commit"),
    }


def rows(path: Path, record: Record) -> tuple[list[dict[str, Any]], list[str]]:
    """One row for each set of episodes of a record and of the files beside it, and what is wrong with those files.

    record: that of `path`, or one task of it (`benchmark.records.joint_tasks.by_task`).
    """
    notes: list[str] = []
    whole = facts(record)
    found = [
        names(record) | _played(record, kind, shift, evaluation) | whole | {"file": str(path)}
        for kind, shift, evaluation in _sets(path, record, notes)
    ]
    return found, notes


def _sets(path: Path, record: Record, notes: list[str]) -> Iterator[tuple[str, str, Evaluation]]:
    for evaluation in record.evaluations:
        yield EVALUATED, "", evaluation
    yield RETESTED, "", record.retest
    try:
        for shift, evaluation in read_shifts(path, record).items():
            yield SHIFTED, shift, evaluation
    except BadRecord as error:
        notes.append(str(error))
    try:
        further = read_further(path, record)
    except BadRecord as error:
        notes.append(str(error))
    else:
        if further is not None:
            yield PLAYED_ON, "", further


def _played(record: Record, kind: str, shift: str, evaluation: Evaluation) -> dict[str, Any]:
    tally = evaluation.tally
    return {
        "kind": kind,
        "shift": shift,
        "epoch": evaluation.epoch,
        "selected": evaluation.epoch == record.selected_epoch,
        "last": evaluation.epoch == record.evaluations[-1].epoch,
        "k": tally.k,
        "n": tally.n,
        "errors": tally.errors,
        "failed_actions": evaluation.failed_actions,
        "rate": tally.rate,
        "train_loss": evaluation.train_loss,
        "valid_loss": evaluation.valid_loss,
    }
