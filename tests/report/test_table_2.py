"""CLAR's Table II, the RLBench column of Table I, and that the port's numbers stand in neither."""

from __future__ import annotations

import csv
import dataclasses
from typing import Any

import pytest
from typer.testing import CliRunner

from benchmark.cli.main import app
from benchmark.records.record import Record
from benchmark.report.tables.clar_1 import clar_table_1
from benchmark.report.tables.clar_2 import NOT_RLBENCH, RLBENCH, RLBENCH_TASKS, clar_table_2
from benchmark.report.tables.forms import render
from benchmark.report.tables.papers import paper_table
from benchmark.settings.load import load_settings
from tests.report.test_tables import plain, record

PORT = "rlbench4-port"
METAWORLD = load_settings("metaworld-15", "clar", "mlp").suite
SUITES = {name: load_settings(name, "clar-rlbench", "mlp").suite for name in (RLBENCH, PORT)}


def keyframes(suite: str, task: str, method: str, counts: tuple[int, int, int], **changes: Any) -> Record:
    return record(task, method, counts, suite=suite, protocol="clar-rlbench", env=SUITES[suite].env, **changes)


def rows(table: Any) -> dict[tuple[str, str], list[str]]:
    return {(row[0], row[1]): row[2:] for row in csv.reader(plain(render(table, "csv")))}


@pytest.fixture
def both() -> list[Record]:
    """PointNet on three tasks of either simulator, with other numbers."""
    real = [keyframes(RLBENCH, task, "pointnet", (20, 70 + i, 19)) for i, task in enumerate(RLBENCH_TASKS[:3])]
    port = [keyframes(PORT, task, "pointnet", (5, 10 + i, 4)) for i, task in enumerate(RLBENCH_TASKS[:3])]
    return real + port


def test_the_tasks_are_the_suites_and_the_papers() -> None:
    assert set(SUITES[RLBENCH].task_names) == set(SUITES[PORT].task_names) == set(RLBENCH_TASKS)


def test_printed_beside_measured(both: list[Record]) -> None:
    table, apart = clar_table_2(both, SUITES[RLBENCH], "clar-rlbench")
    found = rows(table)
    assert apart == []
    assert found["CLAR", "reported"] == ["96", "100", "100", "32", "82"]
    assert found["pointnet, mlp", "best*"] == ["80.0", "80.0", "80.0", "not run", "80.0 † 3/4"]
    assert [cell.split(" ")[0] for cell in found["pointnet, mlp", "retest"]] == [
        "70.0",
        "71.0",
        "72.0",
        "not",
        "71.0",
    ]


def test_the_port_has_a_table_of_its_own_without_printed_numbers(both: list[Record]) -> None:
    table = paper_table("clar", 2, [(None, one) for one in both], SUITES[PORT], "clar-rlbench")  # type: ignore[list-item]
    found = rows(table)
    assert {number for _, number in found} == {"number", "best*", "retest", "last"}
    assert PORT in table.title and NOT_RLBENCH in table.notes
    assert [cell.split(" ")[0] for cell in found["pointnet, mlp", "retest"][:3]] == ["10.0", "11.0", "12.0"]


def test_table_one_takes_its_column_from_rlbench_and_never_from_the_port(both: list[Record]) -> None:
    hammer = record("hammer", "pointnet", (9, 30, 9))
    table, _ = clar_table_1([*both, hammer], METAWORLD, "clar")
    cells = rows(table)["pointnet, mlp", "retest"]
    assert cells[-1].startswith("71.0 [") and cells[-1].endswith("† 3/4")
    assert cells[3].startswith("30.0 [") and cells[3].endswith("† 1/15"), "the mean is over MetaWorld's tasks alone"
    assert any(note.startswith("RLBench: suite rlbench-4") for note in table.notes)
    only_port, _ = clar_table_1([one for one in both if one.suite == PORT], METAWORLD, "clar")
    assert {cells[-1] for (_, number), cells in rows(only_port).items() if number == "retest"} == {"not run"}


def test_another_protocol_fills_the_column_only_under_that_protocol(both: list[Record]) -> None:
    changed = [dataclasses.replace(one, protocol="clar-rlbench+epochs=3") for one in both]
    table, _ = clar_table_1(changed, METAWORLD, "clar")
    assert {cells[-1] for (_, number), cells in rows(table).items() if number == "retest"} == {"not run"}
    table, _ = clar_table_1(changed, METAWORLD, "clar+epochs=3")
    assert rows(table)["pointnet, mlp", "retest"][-1].startswith("71.0")


@pytest.mark.slow
def test_from_the_command_line() -> None:
    def said(*words: str) -> str:
        done = CliRunner().invoke(app, ["table", "2", *words], env={"COLUMNS": "200"})
        assert done.exit_code == 0, done.output
        return done.stdout

    assert "protocol clar-rlbench" in said() and "RVT-2" in said()
    assert "rlbench4-port" in said("--suite", PORT) and "RVT-2" not in said("--suite", PORT)
    refused = CliRunner().invoke(app, ["table", "2", "--suite", "metaworld-15"])
    assert refused.exit_code and "has the tasks of rlbench-4" in refused.stderr
