"""Which evaluation is retested: errors never help, and without them it is the highest rate."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.records.audit import audit
from benchmark.records.read import read, read_all
from benchmark.records.record import Evaluation, Record, Tally
from benchmark.records.replay_actions import Simulator
from benchmark.records.selected_checkpoint import select
from benchmark.records.write import write

MEASURED = Path(__file__).resolve().parents[2] / "results" / "measured"
RECORDS = [record for _, record in read_all([MEASURED]) if isinstance(record, Record)]
HAMMER = MEASURED / "clar" / "metaworld-15" / "hammer" / "dp3" / "mlp-s0.json"


def evaluation(epoch: int, k: int, n: int, asked: int = 25) -> Evaluation:
    return Evaluation(epoch, Tally(k, n, asked - n), ())


def test_ties_are_broken_as_told_and_what_could_not_run_is_skipped() -> None:
    evaluations = [evaluation(10, 5, 25), evaluation(20, 9, 25), evaluation(30, 9, 25), evaluation(40, 0, 0)]
    assert select(evaluations, "first").epoch == 20
    assert select(evaluations, "last").epoch == 30
    nothing = [evaluation(10, 0, 0), evaluation(20, 0, 25), evaluation(30, 0, 0)]
    assert select(nothing, "first").epoch == select(nothing, "last").epoch == 20, "a failure was at least seen"


@pytest.mark.parametrize("rule", ["first", "last"])
def test_an_evaluation_of_mostly_errors_does_not_win(rule: str) -> None:
    assert select([evaluation(10, 1, 1), evaluation(20, 20, 25), evaluation(30, 2, 2)], rule).epoch == 20
    assert select([evaluation(10, 19, 19), evaluation(20, 20, 25)], rule).epoch == 20
    assert select([evaluation(10, 20, 24), evaluation(20, 19, 25)], rule).epoch == 10, "one error does not bar it"


@pytest.mark.slow
@given(st.lists(st.tuples(st.integers(0, 25), st.integers(0, 25)), min_size=2, max_size=15))
def test_more_errors_in_place_of_failures_never_win_and_in_place_of_successes_never_help(
    outcomes: list[tuple[int, int]],
) -> None:
    """Whatever the outcomes: of the one selected, no other has more successes."""
    found = [evaluation(10 * i, k, max(k, n)) for i, (k, n) in enumerate(outcomes, 1)]
    chosen = select(found, "first")
    assert chosen.tally.k == max(e.tally.k for e in found)
    assert chosen.tally.n > 0 or not any(e.tally.n for e in found)


def test_every_committed_record_is_selected_as_by_its_plain_rate() -> None:
    assert len(RECORDS) > 20
    rules = {record.identity["protocol"]["select"] for record in RECORDS}
    assert rules == {"first", "final"}
    for record in RECORDS:
        assert not any(e.tally.errors for e in record.evaluations), record.task
        if record.identity["protocol"]["select"] == "final":
            assert record.selected_epoch == max(e.epoch for e in record.evaluations), "nothing was selected"
            continue
        best = max(record.evaluations, key=lambda e: e.tally.k / e.tally.n)
        assert select(record.evaluations, "first").epoch == best.epoch == record.selected_epoch
        highest = [e for e in record.evaluations if e.tally.k / e.tally.n == best.tally.k / best.tally.n]
        assert select(record.evaluations, "last").epoch == highest[-1].epoch


def test_the_audit_asks_the_same_function(tmp_path: Path) -> None:
    """A first evaluation of one success and 24 errors: it would be the best by the rate of what could be run."""
    record = read(HAMMER)
    seeds = [seed for seed, *_ in record.evaluations[0].episodes]
    rows = [(seed, int(i == 0), 0 if i else 50, "died" if i else None) for i, seed in enumerate(seeds)]
    first = dataclasses.replace(record.evaluations[0], tally=Tally(1, 1, 24), episodes=tuple(rows))
    assert record.evaluations[0].epoch != record.selected_epoch
    path = tmp_path / HAMMER.relative_to(MEASURED)
    write(dataclasses.replace(record, evaluations=(first, *record.evaluations[1:])), path)
    found = read(path)
    assert found.selected_epoch == record.selected_epoch, "the reader asks the same function, and refuses nothing"
    assert audit(found, path, Simulator(1), most=0).contradictions == ()
