"""CLAR's Table V from a fixed set of records, byte for byte."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import pytest

from benchmark.records.record import Record
from benchmark.report.tables.clar_5 import clar_table_5, variant_of
from benchmark.report.tables.forms import FORMATS, render
from benchmark.settings.load import load_settings
from tests.report.test_tables import record

GOLDEN = Path(__file__).parents[1] / "golden"
SUITE = load_settings("clar-ablation", "clar", "mlp").suite


def made(task: str, variant: str | None, counts: tuple[int, int, int], teacher: str = "none") -> Record:
    """A cell of `clar`, or untrained (None)."""
    label = "random" if variant is None else f"metaworld-35-{variant}{'-random-teacher' if teacher == 'random' else ''}"
    facts = {"label": label, "variant": variant, "untrained_teacher": teacher == "random"}
    weights = (
        {"files": {}, "untrained": True}
        if variant is None
        else {
            "files": {f"{label}.pt": "0" * 64},
            "untrained": False,
            "pretraining": facts,
        }
    )
    one = record(task, "clar", counts)
    return dataclasses.replace(one, suite="clar-ablation", method=f"clar+weights={label}", weights=weights)


@pytest.fixture
def records() -> list[Record]:
    found = [made(task, "mae-only", (20 - i, 70 - i, 15)) for i, task in enumerate(SUITE.task_names)]
    found += [made("hammer", None, (17, 60, 10)), made("hammer", "full", (19, 66, 12), "random")]
    return found


@pytest.mark.parametrize("form", FORMATS)
def test_table_5_is_the_golden_one(form: str, records: list[Record]) -> None:
    table, _ = clar_table_5(records, SUITE, "clar", "clar")
    golden = GOLDEN / f"clar-table-5.{form}"
    text = render(table, form, 140)
    if os.environ.get("REGENERATE_GOLDEN"):
        golden.write_text(text)
    assert text == golden.read_text()


def test_a_record_is_in_the_row_that_its_card_says(records: list[Record]) -> None:
    assert {variant_of(r).row for r in records} == {"CLAR", "CLAR w/o Local and Con.", "CLAR w/o Pre."}  # type: ignore[union-attr]
    renamed = dataclasses.replace(records[0], method="clar+weights=my-best")
    assert variant_of(renamed).row == "CLAR w/o Local and Con."  # type: ignore[union-attr]
    foreign = dataclasses.replace(records[0], weights={"files": {"x.pt": "0"}, "untrained": False})
    assert variant_of(foreign) is None, "weights from elsewhere are in no row"
    table, _ = clar_table_5([*records, foreign], SUITE, "clar", "clar")
    assert table.rows == clar_table_5(records, SUITE, "clar", "clar")[0].rows


def test_other_encoders_suites_and_conditions_stay_out(records: list[Record]) -> None:
    small = [dataclasses.replace(r, card={**r.card, "name": "clar-small"}) for r in records]
    empty, _ = clar_table_5(small, SUITE, "clar", "clar")
    assert all("not run" in row for row in empty.rows if row[1] != "reported")
    elsewhere = [dataclasses.replace(r, suite="metaworld-15") for r in records]
    assert clar_table_5(elsewhere, SUITE, "clar", "clar")[0].rows == empty.rows
    other = dataclasses.replace(records[0], success_rule="last-step")
    table, apart = clar_table_5([other, *records[1:]], SUITE, "clar", "clar")
    assert apart and "hammer/clar+weights=metaworld-35-mae-only" in apart[0]
    assert any("† 3/4" in cell for row in table.rows for cell in row)
