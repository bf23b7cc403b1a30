"""The note on best*, retest and last says what is true of the records in the table."""

from __future__ import annotations

import dataclasses

import pytest

from benchmark.records.record import Record
from benchmark.report.page.facts import row
from benchmark.report.tables.best_note import best_note
from tests.report.made import one


def looked_at(evaluations: int, rollouts: int, **protocol: str) -> Record:
    record = one("reach", "dp3", rollouts=rollouts)
    identity = {**record.identity, "protocol": {**record.identity.get("protocol", {}), **protocol}}
    return dataclasses.replace(record, evaluations=record.evaluations[:evaluations], identity=identity)


@pytest.mark.parametrize(
    ("records", "said"),
    [
        ([], "13 to 17 points for true rates of 50 to 80 % with 15 evaluations of 25)"),
        ([looked_at(15, 25)], "13 to 17 points for true rates of 50 to 80 % with 15 evaluations of 25)"),
        ([looked_at(2, 10)], "7 to 9 points for true rates of 50 to 80 % with 2 evaluations of 10)"),
        ([looked_at(2, 10), looked_at(15, 25)], "7 to 17 points for true rates of 50 to 80 % with 2 to 15 evaluations"),
        ([looked_at(1, 25)], "(selection bias)."),
    ],
)
def test_the_bias_is_that_of_the_records_evaluations(records: list[Record], said: str) -> None:
    note = best_note(records)
    assert said in note and "nothing is selected" not in note


def test_of_a_joint_policy_no_bias_is_said() -> None:
    """One checkpoint is chosen by the mean over tasks, so each task's bias is less than its evaluations suggest."""
    record = looked_at(15, 25)
    joint = dataclasses.replace(record, identity={**record.identity, "task": "reach+hammer"})
    assert "(selection bias)." in best_note([joint])


def test_where_the_last_checkpoint_is_taken_nothing_is_said_to_be_selected() -> None:
    last = dataclasses.replace(looked_at(15, 25, select="final"), protocol="steady")
    assert best_note([last]).startswith("nothing is selected")
    both = best_note([last, looked_at(15, 25)])
    assert both.startswith("best*: maximum") and "Under steady nothing is selected" in both
    assert row(last)["expected"] is None and not row(last)["selects"]
    assert row(looked_at(15, 25))["expected"] > 0 and row(looked_at(15, 25))["selects"]
