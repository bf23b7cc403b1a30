"""The record of a joint policy, task by task.

Its episodes are those of its first task, then of its second, ..., equally many of each; its counts are of all of them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from benchmark.records.record import Evaluation, Record, Row, Tally
from benchmark.settings.seeds import parts
from benchmark.settings.task_rules import rule_of


def by_task(record: Record) -> list[Record]:
    """What the record says of each of its tasks, as a record of that task; itself where it has only one.

    `identity` and its hash stay those of the whole, seconds are shared equally; the selected epoch is the whole's, so
    `best` is not the best of each task.
    """
    tasks = parts(record.task)
    if len(tasks) == 1:
        return [record]
    return [
        dataclasses.replace(
            record,
            task=task,
            evaluations=tuple(block(e, record.task, task) for e in record.evaluations),
            retest=block(record.retest, record.task, task),
            timings={name: seconds / len(tasks) for name, seconds in record.timings.items()},
            **_rules(record, task),
        )
        for task in tasks
    ]


def _rules(record: Record, task: str) -> dict[str, Any]:
    """Of one task, where they are not the whole's."""
    if not {"rules", "task_rules"} & set(record.identity.get("suite", {})):
        return {}
    return {
        "horizon": rule_of(record.identity, task, "horizon"),
        "success_rule": rule_of(record.identity, task, "success"),
    }


def all_by_task(records: Iterable[Record]) -> list[Record]:
    return [one for record in records for one in by_task(record)]


def of_this_task(evaluation: Evaluation, record: Record) -> Evaluation:
    """The part of a file beside the record that belongs to `record`, which may be one task of a joint one."""
    return block(evaluation, record.identity.get("task", record.task), record.task)


def block(evaluation: Evaluation, joint: str, task: str) -> Evaluation:
    if joint == task:
        return evaluation
    part = of_rows(evaluation.epoch, split(evaluation, joint)[task], dict(evaluation.ended))
    return dataclasses.replace(evaluation, tally=part.tally, episodes=part.episodes, ended=part.ended)


def split(evaluation: Evaluation, joint: str) -> dict[str, tuple[Row, ...]]:
    """Task -> its episodes."""
    tasks = parts(joint)
    each = len(evaluation.episodes) // len(tasks)
    return {task: evaluation.episodes[each * i : each * (i + 1)] for i, task in enumerate(tasks)}


def of_rows(epoch: int, rows: Sequence[Row], ended: Mapping[int, str] | None = None) -> Evaluation:
    """ended: seed -> why, of at least those of the rows that the simulator ended."""
    errors = sum(row[3] is not None for row in rows)
    tally = Tally(sum(row[1] for row in rows), len(rows) - errors, errors)
    ends = tuple((row[0], ended[row[0]]) for row in rows if row[0] in ended) if ended else ()
    return Evaluation(epoch, tally, tuple(rows), ended=ends)
