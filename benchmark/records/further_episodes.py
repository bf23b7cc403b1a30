"""Episodes played after a record was written, to decide a comparison: `mlp-s0.further.json` beside it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from benchmark.records.actions import BadActions, read_actions
from benchmark.records.consistency import check_part
from benchmark.records.hash_chain import next_link, sent_actions
from benchmark.records.joint_tasks import of_this_task
from benchmark.records.read import BadRecord, evaluation_from
from benchmark.records.record import Evaluation, Record
from benchmark.records.schema import EVALUATION, OddShape, fields, text
from benchmark.settings.seeds import parts, retest_seeds
from benchmark.system.checked_json import NotPlain, read_json
from benchmark.system.files import write_json

FURTHER = fields({"identity_hash": text, "evaluation": EVALUATION}, more=False)


def further_path(record: Path) -> Path:
    return record.with_suffix(".further.json")


def further_actions(record: Path) -> Path:
    return record.with_suffix(".further.actions.npz")


def read_further(path: Path, record: Record) -> Evaluation | None:
    """What was played of this very record's checkpoint after its retest. Raises `BadRecord` if it is another's.

    Episodes whose actions are not there cannot be doubted by anybody, so they are no evidence either.
    """
    file = further_path(path)
    if not os.path.lexists(file):
        return None
    try:
        data = read_json(file)
        FURTHER(data, "")
    except (NotPlain, OddShape) as error:
        raise BadRecord(file, f"it holds no further episodes: {error}") from error
    found = evaluation_from(data["evaluation"])
    if data["identity_hash"] not in record.hashes or found.epoch != record.selected_epoch:
        raise BadRecord(file, f"it belongs to another record than {path.name}; remove it")
    wrong = tuple(_odd(found, path, record))
    if wrong:
        raise BadRecord(file, f"it contradicts itself: {wrong[0]}; remove it", wrong)
    return of_this_task(found, record)


def _odd(evaluation: Evaluation, path: Path, record: Record) -> Iterator[str]:
    what, tasks = "what was played on", parts(record.identity["task"])
    each, rest = divmod(len(evaluation.episodes), len(tasks))
    if rest or not each:
        yield f"{what} has {len(evaluation.episodes)} episodes of {len(tasks)} tasks"
        return
    first = record.identity["protocol"]["retest_rollouts"]
    wanted = [seed for task in tasks for seed in retest_seeds(record.suite, task, first + each)[first:]]
    yield from check_part(what, evaluation, wanted, record)
    if record.retest.link is not None and evaluation.checkpoint != record.retest.checkpoint:
        yield f"{what} was not played by the weights of the retest"
    if record.retest.link is not None and evaluation.link != next_link(record.retest.link, evaluation, "further"):
        yield f"{what} is not what its chained hash says: it, or something before it, was changed afterwards"
    try:
        actions = read_actions(further_actions(path), record.longest)
    except BadActions as error:
        yield f"{further_actions(path).name}, which has the actions, cannot be used: {error}"
        return
    if any(len(actions.get(str(seed), ())) != steps for seed, _, steps, _ in evaluation.episodes):
        yield f"{further_actions(path).name} has other actions than those of its episodes"
        return
    own = {str(row[0]): actions[str(row[0])] for row in evaluation.episodes if str(row[0]) in actions}
    if evaluation.actions is not None and not sent_actions(evaluation.actions, own, {}):
        yield f"{further_actions(path).name} was changed after it was written"


def write_further(path: Path, record: Record, evaluation: Evaluation) -> None:
    write_json(further_path(path), {"identity_hash": record.identity_hash, "evaluation": evaluation.plain()})
