"""Records as a frame: every set of episodes once, as it was played, and nothing silently missing."""

from __future__ import annotations

import dataclasses
import json
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest

from benchmark.records.actions import write_actions
from benchmark.records.frame import COLUMNS, SkippedRecord, frame_of, load_records
from benchmark.records.further_episodes import further_actions, write_further
from benchmark.records.gather import MEASURED, gather
from benchmark.records.joint_tasks import of_rows
from benchmark.records.read import read
from benchmark.records.shifted_retests import read_shifts, shifts_path
from benchmark.settings.seeds import retest_seeds
from benchmark.system.errors import ConfigError
from tests.report.made import one, place

JOINT = "quick/metaworld-multitask/button-press+reach+lever-pull/state+text=hash/mlp-s0.json"
ALONE = "clar/metaworld-15/hammer/dp3/mlp-s0.json"


def copied(name: str, root: Path) -> Path:
    """A committed record with the files beside it, under root/records."""
    target = root / "records" / name
    target.parent.mkdir(parents=True)
    for file in (MEASURED / name).parent.iterdir():
        if file.is_file():
            shutil.copy(file, target.parent / file.name)
    return target


@pytest.mark.slow
def test_a_row_is_a_set_of_episodes_as_it_was_played() -> None:
    placed, notes = gather([MEASURED], Path())
    found = load_records(MEASURED)
    assert not notes and found.attrs["skipped"] == []
    assert list(found.columns) == list(COLUMNS)
    assert {name: str(dtype) for name, dtype in found.dtypes.items()} == {n: kind for n, (kind, _) in COLUMNS.items()}
    for kind, counted in (("evaluation", sum(len(r.evaluations) for _, r in placed)), ("retest", len(placed))):
        assert (found["kind"] == kind).sum() == counted
    by_cell = dict(iter(found.groupby(["file", "task"])))
    assert len(by_cell) == len(placed)
    for path, record in placed:
        rows = by_cell[str(path), record.task]
        (test,) = rows[rows["kind"] == "retest"].itertuples()
        assert (test.k, test.n, test.errors, test.epoch) == (
            *dataclasses.astuple(record.retest.tally),
            record.selected_epoch,
        )
        seen = rows[rows["kind"] == "evaluation"]
        assert list(zip(seen["epoch"], seen["k"], seen["n"], strict=True)) == [
            (e.epoch, e.tally.k, e.tally.n) for e in record.evaluations
        ]
        assert seen["train_loss"].tolist() == [e.train_loss for e in record.evaluations]
        assert int(seen[seen["selected"]]["k"].iloc[0]) == record.best.k
        assert int(seen[seen["last"]]["k"].iloc[0]) == record.last.k
        shifts = rows[rows["kind"] == "shift"].set_index("shift")
        assert {s: (e.tally.k, e.tally.n) for s, e in read_shifts(path, record).items()} == {
            str(s): (int(k), int(n)) for s, k, n in zip(shifts.index, shifts["k"], shifts["n"], strict=True)
        }


def test_a_joint_policy_has_rows_for_each_task(tmp_path: Path) -> None:
    record = read(copied(JOINT, tmp_path))
    found = load_records(tmp_path)  # what --out names has them in records/
    assert set(found["task"]) == set(record.task.split("+")) and set(found["tasks_of_policy"]) == {record.task}
    tests = found[found["kind"] == "retest"]
    assert tests["k"].sum() == record.retest.tally.k and tests["n"].sum() == record.retest.tally.n
    assert np.isclose(tests["seconds"].sum(), sum(record.timings.values()))


def test_further_episodes_are_a_kind_of_their_own(tmp_path: Path) -> None:
    path, record = place(one("reach", "dp3"), tmp_path)
    seeds = retest_seeds(record.suite, "reach", 103)[100:]
    played = of_rows(
        record.selected_epoch, [(seed, int(i < 2), 20 if i < 2 else 200, None) for i, seed in enumerate(seeds)]
    )
    write_actions(further_actions(path), {str(row[0]): np.zeros((row[2], 4), np.float32) for row in played.episodes})
    write_further(path, record, played)
    found = load_records(tmp_path)
    (row,) = found[found["kind"] == "further"].itertuples()
    assert (row.k, row.n, row.selected, row.shift) == (2, 3, True, "")


def test_what_may_be_averaged_has_equal_conditions(tmp_path: Path) -> None:
    for seed in (0, 1):
        place(one("reach", "dp3", seed=seed), tmp_path)
    place(one("reach", "dp3", head="bnmlp"), tmp_path)
    by_head = load_records(tmp_path).groupby("head")["conditions"].unique()
    assert len(by_head["mlp"]) == 1 and by_head["mlp"][0] != by_head["bnmlp"][0]


@pytest.mark.slow
def test_references_are_marked_and_only_if_asked_for(tmp_path: Path) -> None:
    path, _ = place(one("reach", "dp3"), tmp_path)
    assert not load_records(tmp_path)["reference"].any()
    found = load_records(tmp_path, with_reference=True)
    assert set(found[~found["reference"]]["file"]) == {str(path)} and found["reference"].sum() > 500


def test_what_cannot_be_read_is_said_and_the_rest_is_there(tmp_path: Path) -> None:
    bad, good = copied(ALONE, tmp_path), copied(JOINT, tmp_path)
    data = json.loads(bad.read_text())
    data["retest"]["tally"]["k"] += 1
    bad.write_text(json.dumps(data))
    shifts_path(good).write_text("{}")
    with pytest.warns(SkippedRecord) as said:
        found = load_records(tmp_path)
    texts = [str(one.message) for one in said]
    assert sum(str(bad) in text for text in texts) == 1, texts
    assert sum(str(shifts_path(good)) in text for text in texts) == 1, "once, not for each of its tasks"
    assert [f"skipped: {note}" for note in found.attrs["skipped"]] == texts
    assert set(found["file"]) == {str(good)} and set(found["kind"]) == {"evaluation", "retest"}


def test_a_number_that_no_column_holds_is_said(tmp_path: Path) -> None:
    path, record = place(one("reach", "dp3"), tmp_path)
    odd = dataclasses.replace(record, training={**record.training, "parameters_encoder": 2**70})
    found = frame_of([(path, odd), place(one("hammer", "dp3"), tmp_path)])
    assert set(found["task"]) == {"hammer"}
    assert [note for note in found.attrs["skipped"] if "parameters_encoder is too large" in note]


def test_no_folder_is_an_error_and_no_record_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="no such folder"):
        load_records(tmp_path / "absent")
    monkeypatch.chdir(tmp_path)
    with pytest.warns(SkippedRecord, match="no records under runs"):
        empty = load_records()
    assert list(empty.columns) == list(COLUMNS) and empty.empty and str(empty["k"].dtype) == "int64"
    (tmp_path / "mine").mkdir()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert load_records(tmp_path / "mine").empty
