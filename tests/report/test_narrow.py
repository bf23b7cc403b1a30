"""Tables in a terminal that is narrower than they are, and what a table without records says."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from benchmark.cli.main import app
from benchmark.report.tables.clar_1 import cells_table, clar_table_1
from benchmark.report.tables.forms import render
from benchmark.report.tables.table import Table
from benchmark.report.tables.terminal import BLANK
from tests.report.test_tables import SUITE, put, record


def cells(text: str, table: Table) -> str:
    """What stands above the notes."""
    return text.split(f"  {table.notes[0][:20]}")[0]


@pytest.mark.parametrize("width", [80, 100])
def test_no_word_is_broken_where_there_is_room_for_it(width: int) -> None:
    records = [record(task, "proprio-only", (12, 40, 9)) for task in SUITE.task_names]
    records += [record("hammer", "dp3", (20, 70, 15)), record("reach", "dp3", (25, 97, 24))]
    for table in (clar_table_1(records, SUITE, "clar")[0], cells_table(records)):
        text = render(table, "terminal", width).replace("\x1b[1m", "").replace("\x1b[0m", "")
        assert max(map(len, text.splitlines())) <= width
        asked = {word for row in (table.columns, *table.rows) for cell in row for word in cell.split()}
        assert asked <= set(cells(text, table).split())


def test_a_word_that_no_terminal_holds_is_cut_and_the_others_are_whole() -> None:
    name = "vit_small_patch14_dinov2.lvd142m.safetensors" * 2
    table = Table("t", ("method", "file", "size"), (("proprio-only", name, "1,022"),), text_columns=2)
    text = render(table, "terminal", 80)
    assert max(map(len, text.splitlines())) <= 80
    words = text.split()
    assert {"proprio-only", "1,022"} <= set(words) and name in "".join(words).replace("1,022", "")


def test_a_table_that_fits_is_laid_out_as_where_there_is_more_room() -> None:
    table = Table("t", ("method", "best*"), (("dp3", "20/25"),))
    assert render(table, "terminal", 30).split() == render(table, "terminal").split()
    assert " dp3      20/25 " in render(table, "terminal", 30)


def test_an_interval_is_in_one_line_and_so_is_a_percentage() -> None:
    long = "clar-small+norm=workspace+weights=random+text=hash, mlp"
    rows = ((long, "retest", "12.5 [-26, +22] †", "18/40 = 45 % [31, 60]", "7.5 [3, 20]", "40.0 [26, 55] untrained"),)
    table = Table("t", ("method", "number", "button-press", "reach", "lever-pull", "mean (3)"), rows, text_columns=2)
    for width in (80, 90):
        lines = render(table, "terminal", width).splitlines()
        assert max(map(len, lines)) <= width
        for whole in ("[-26, +22]", "[31, 60]", "[3, 20]", "[26, 55]", "45 %"):
            assert any(whole in line for line in lines), (width, whole)
    assert "[31, 60]" in render(table, "markdown") and BLANK not in render(table, "terminal", 20)


def test_the_lines_of_a_note_after_its_first_are_further_in() -> None:
    notes = ("drop: retest minus the same episodes under the other camera", "short")
    table = Table("t", ("method", "best*"), (("dp3", "20/25"),), notes=notes)
    lines = render(table, "terminal", 40).splitlines()[-3:]
    assert max(map(len, lines)) <= 40
    assert [line[:5] for line in lines] == ["  dro", "    u", "  sho"]


@pytest.mark.slow
def test_a_table_without_a_record_of_its_protocol_says_which_there_are(tmp_path: Path) -> None:
    put(record("reach", "dp3", (20, 76, 3), protocol="matched"), tmp_path / "records")
    done = CliRunner().invoke(app, ["table", "1", "--out", str(tmp_path)])
    assert done.exit_code == 0, done.output
    assert "--protocol matched shows those of metaworld-15" in " ".join(done.stderr.split())
    done = CliRunner().invoke(app, ["table", "1", "--out", str(tmp_path), "--protocol", "matched"])
    assert done.exit_code == 0 and done.stderr == ""


def test_an_audit_of_nothing_says_where_records_come_from(tmp_path: Path) -> None:
    (tmp_path / "records").mkdir()
    done = CliRunner().invoke(app, ["audit", "--out", str(tmp_path)])
    assert done.exit_code == 2 and "--with-reference takes this project's own" in done.stderr
