"""The ledger in the repository is what the records in it say."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from benchmark.records.read import read_all
from benchmark.records.record import Record
from benchmark.report.tables.forms import render
from benchmark.report.tables.ledger import ledger
from benchmark.report.tables.printed_numbers import reported
from benchmark.settings.catalog import cards
from benchmark.settings.load import load_settings

ROOT = Path(__file__).resolve().parents[2]
SUITE = load_settings("metaworld-15", "clar", "mlp").suite
RLBENCH = load_settings("rlbench-4", "clar-rlbench", "mlp").suite


def measured() -> list[Record]:
    return [record for _, record in read_all([ROOT / "results" / "measured"]) if isinstance(record, Record)]


def test_the_ledger_is_rendered_from_the_records() -> None:
    tables = [ledger(measured(), cards(), SUITE, "clar"), ledger(measured(), cards(), RLBENCH, "clar-rlbench")]
    text = "\n".join(render(table, "markdown") for table in tables)
    assert (ROOT / "results" / "LEDGER.md").read_text() == text, "bench ledger > results/LEDGER.md"


def test_every_row_of_the_table_has_a_method_and_every_claim_a_row() -> None:
    printed = {number.method for number in reported("clar", "Table I")}
    claimed = {card.reported_as for card in cards() if card.reported_as}
    assert claimed == printed


def test_table_two_has_its_rows_and_the_port_fills_none() -> None:
    rows = ledger(measured(), cards(), RLBENCH, "clar-rlbench").rows
    assert [row[:2] for row in rows] == [
        (name, f"{mean:.1f}")
        for name, mean in (("PointNet", 64), ("RVT-2 (multi-view)", 75), ("RVT-2", 71), ("Lift3D", 77), ("CLAR", 82))
    ]
    assert {row[3] for row in rows} == {"–"}
    assert "CoppeliaSim" in {row[0]: row[4] for row in rows}["CLAR"]


def test_what_is_untrained_reproduces_nothing() -> None:
    (one,) = [
        r for r in measured() if (r.suite, r.protocol, r.task, r.method) == ("metaworld-15", "clar", "reach", "dp3")
    ]
    claimed = dataclasses.replace(one, method="clar", weights={"files": {}, "untrained": True})
    rows = {row[2]: row for row in ledger([one, claimed], cards(), SUITE, "clar").rows}
    assert rows["dp3"][3].endswith("1/15")
    assert rows["dp3"][4] == "partly: reach"
    assert rows["clar"][3] == "–"
    assert rows["clar"][4].startswith("not yet: nobody has published")
    whole = [dataclasses.replace(one, task=task) for task in SUITE.task_names]
    rows = {row[2]: row for row in ledger(whole, cards(), SUITE, "clar").rows}
    assert rows["dp3"][4] == "done"
