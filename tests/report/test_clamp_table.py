"""CLAMP's Table I: printed beside measured, what was learnt of the training episodes, pre-trained policies apart."""

from __future__ import annotations

import csv
import dataclasses
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from benchmark.cli.main import app
from benchmark.records.joint_tasks import of_rows
from benchmark.records.record import Record
from benchmark.records.shifted_retests import write_shifts
from benchmark.records.write import write
from benchmark.report.tables import clamp_1
from benchmark.report.tables.clamp_1 import OTHER_DEMONSTRATIONS, clamp_table_1, row_of
from benchmark.report.tables.forms import render
from benchmark.settings.load import load_settings
from benchmark.settings.seeds import TRAINED_ON, derive
from tests.report.test_tables import plain, record

ALOHA = load_settings("aloha-6", "clamp-small", "mlp").suite
TASKS = ("drawer-open", "mug-on-plate")


def rows(table: Any) -> dict[tuple[str, str], list[str]]:
    return {(row[0], row[1]): row[2:] for row in csv.reader(plain(render(table, "csv")))}


@pytest.fixture
def placed(tmp_path: Path) -> list[tuple[Path, Record]]:
    """dp3 on two tasks, of which one was learnt by heart, and state on one, without training episodes."""
    found = []
    for method, task, counts, learnt in (
        ("dp3", "drawer-open", (20, 60, 18), 24),
        ("dp3", "mug-on-plate", (1, 2, 0), 20),
        ("state", "drawer-open", (25, 98, 25), None),
    ):
        one = record(task, method, counts, suite="aloha-6", protocol="clamp-small", env="aloha")
        protocol = {"name": "clamp-small", "retest_rollouts": 100, "train_demos": 25, "horizon": 9}
        protocol["success"] = "any-step"
        demos = {"train": 25, "attempts": 25}
        one = dataclasses.replace(one, identity={**one.identity, "protocol": protocol}, demos=demos)
        path = tmp_path / f"{task}-{method}.json"
        write(one, path)
        if learnt is not None:
            seeds = [derive("aloha-6", task, "demo", index) for index in range(25)]
            played = of_rows(one.selected_epoch, [(seed, int(n < learnt), 9, None) for n, seed in enumerate(seeds)])
            write_shifts(path, one.identity_hash, one.selected_epoch, {TRAINED_ON: played})
        found.append((path, one))
    return found


def test_printed_beside_measured_and_what_was_learnt(placed: list[tuple[Path, Record]]) -> None:
    table, apart = clamp_table_1(placed, ALOHA, "clamp-small")
    found = rows(table)
    assert apart == [] and OTHER_DEMONSTRATIONS in table.notes
    assert list(next(iter(found.values()))) == [*ALOHA.task_names, "mean (6)"]
    assert found["ACT", "reported"] == ["34", "82", "9.3", "38.7", "70", "44.7", "46.4"]
    at = [ALOHA.task_names.index(task) for task in TASKS]
    retests = found["dp3, mlp", "retest"]
    assert [retests[column].split(" ")[0] for column in at] == ["60.0", "2.0"]
    assert retests[-1].startswith("31.0") and retests[-1].endswith("† 2/6")
    learnt = found["dp3, mlp", "training episodes"]
    assert [learnt[column] for column in at] == ["96.0", "80.0"] and learnt[-1] == "88.0 † 2/6"
    assert ("state, mlp", "training episodes") not in found, "nothing was played there"


def test_a_policy_with_weights_from_other_tasks_has_the_papers_other_row(
    placed: list[tuple[Path, Record]], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = placed[0][1]
    assert row_of(one) == "DP3", "no row of CLAMP's: one of its own"
    taught = dataclasses.replace(one, weights={**one.weights, "pretraining": {"objective": "policy"}})
    assert row_of(taught) == "DP3"
    monkeypatch.setattr(clamp_1, "row_name", lambda record: "ACT")
    assert (row_of(one), row_of(taught)) == ("ACT", "Pretrained ACT")
    small = {**one.identity, "method": {**one.identity["method"], "options": {"size": "small"}}}
    assert row_of(dataclasses.replace(one, identity=small)) == "own dp3", "no policy of the paper's"


def test_the_command_line(tmp_path: Path) -> None:
    said = CliRunner().invoke(
        app, ["table", "1", "--paper", "clamp", "--protocol", "clamp-small", "--records", str(tmp_path)]
    )
    words = " ".join(said.output.split())
    assert said.exit_code == 0 and "protocol clamp-small is not the paper's (train_demos 100 instead of 4500" in words
