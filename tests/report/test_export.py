"""Records for others' tools: every cell is there once, and as it was."""

from __future__ import annotations

import csv
import importlib.util
import json
from pathlib import Path

import pytest

from benchmark.records.read import read_all
from benchmark.records.record import Record
from benchmark.report.export import export, leaderboard, rows
from benchmark.system.errors import ConfigError

MEASURED = Path(__file__).resolve().parents[2] / "results" / "measured"


@pytest.fixture(scope="module")
def records() -> list[Record]:
    return [r for _, r in read_all([MEASURED]) if isinstance(r, Record)]


@pytest.mark.slow
def test_csv_has_every_cell_once_and_as_it_was(records: list[Record], tmp_path: Path) -> None:
    with export(records[::-1], "csv", tmp_path / "x.csv").open(newline="") as file:
        found = list(csv.DictReader(file))
    assert len(found) == len(records) == len({(row["suite"], row["identity_hash"]) for row in found})
    by_hash = {(r.suite, r.identity_hash): r for r in records}
    for row in found:
        record = by_hash[row["suite"], row["identity_hash"]]
        assert (row["task"], row["method"], int(row["seed"])) == (record.task, record.method, record.seed)
        assert (int(row["retest_k"]), int(row["retest_n"])) == (record.retest.tally.k, record.retest.tally.n)
        assert (int(row["best_k"]), int(row["last_k"])) == (record.best.k, record.last.k)
        assert float(row["retest_low"]) <= float(row["retest_rate"]) <= float(row["retest_high"])
    order = [(r["suite"], r["protocol"], r["task"], r["method"]) for r in rows(records)]
    assert order == sorted(order)


def test_the_leaderboard_keeps_seeds_apart(records: list[Record], tmp_path: Path) -> None:
    written = json.loads(export(records, "leaderboard-json", tmp_path / "x.json").read_text())
    assert written == json.loads(json.dumps(leaderboard(rows(records))))
    (board,) = [b for b in written["boards"] if b["board"] == "metaworld-15/clar"]
    dp3 = next(entry for entry in board["entries"] if entry["method"] == "dp3")
    assert set(dp3["tasks"]) >= {"reach", "hammer", "box-close"}
    assert dp3["tasks"]["hammer"][0]["k"] == 93 and dp3["tasks"]["hammer"][0]["seed"] == 0


def test_latex_is_the_cells_table(records: list[Record], tmp_path: Path) -> None:
    text = export(records, "latex", tmp_path / "x.tex").read_text()
    assert r"\begin{tabular}" in text and text.count("dp3") >= 3


def test_parquet_or_the_command_that_mends_it(records: list[Record], tmp_path: Path) -> None:
    if importlib.util.find_spec("pyarrow") is None:
        with pytest.raises(ConfigError, match="pip install pyarrow"):
            export(records, "parquet", tmp_path / "x.parquet")
        return
    from pyarrow import parquet

    table = parquet.read_table(export(records, "parquet", tmp_path / "x.parquet"))
    assert table.num_rows == len(records) and table.column("task").to_pylist() == [r["task"] for r in rows(records)]


def test_another_format_is_named(records: list[Record], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="none of csv"):
        export(records, "xlsx", tmp_path / "x")
