"""The ledger in the repository is what the records in it say; CLAMP's has what cannot be compared beside it."""

from __future__ import annotations

import csv
import dataclasses
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from benchmark.cli.main import app
from benchmark.cli.report import _tables as page_tables
from benchmark.records.read import read_all
from benchmark.records.record import Record
from benchmark.report.tables import clamp_1
from benchmark.report.tables.forms import render
from benchmark.report.tables.ledger import ledger
from benchmark.report.tables.printed_numbers import reported
from benchmark.report.tables.table import Table
from benchmark.settings.catalog import cards, register_baselines, whole_policies
from benchmark.settings.load import load_settings
from benchmark.system.errors import ConfigError
from methods.registry import class_of
from tests.report.test_tables import plain, record

ROOT = Path(__file__).resolve().parents[2]
SUITE = load_settings("metaworld-15", "clar", "mlp").suite
RLBENCH = load_settings("rlbench-4", "clar-rlbench", "mlp").suite
ALOHA = load_settings("aloha-6", "clamp", "mlp").suite


def measured() -> list[Record]:
    return [record for _, record in read_all([ROOT / "results" / "measured"]) if isinstance(record, Record)]


@pytest.mark.slow
def test_the_ledger_is_rendered_from_the_records() -> None:
    tables = [ledger(measured(), cards(), SUITE, "clar"), ledger(measured(), cards(), RLBENCH, "clar-rlbench")]
    text = "\n".join(render(table, "markdown") for table in tables)
    assert (ROOT / "results" / "LEDGER.md").read_text() == text, "bench ledger > results/LEDGER.md"


def test_every_row_of_the_table_has_a_method_and_every_claim_a_row() -> None:
    printed = {number.method for number in reported("clar", "Table I")}
    claimed = {card.reported_as for card in cards() if card.reported_as}
    assert claimed == printed


@pytest.mark.slow
def test_table_two_has_its_rows_and_the_port_fills_none() -> None:
    rows = ledger(measured(), cards(), RLBENCH, "clar-rlbench").rows
    assert [row[:2] for row in rows] == [
        (name, f"{mean:.1f}")
        for name, mean in (("PointNet", 64), ("RVT-2 (multi-view)", 75), ("RVT-2", 71), ("Lift3D", 77), ("CLAR", 82))
    ]
    assert {row[3] for row in rows} == {"–"}
    assert "CoppeliaSim" in {row[0]: row[4] for row in rows}["CLAR"]


@pytest.mark.slow
def test_what_is_untrained_reproduces_nothing() -> None:
    (one,) = [
        r for r in measured() if (r.suite, r.protocol, r.task, r.method) == ("metaworld-15", "clar", "reach", "dp3")
    ]
    claimed = dataclasses.replace(one, method="clar", weights={"files": {}, "untrained": True})
    rows = {row[2]: row for row in ledger([one, claimed], cards(), SUITE, "clar").rows}
    assert rows["dp3"][3].endswith("1/15")
    assert rows["dp3"][4] == "partly: reach"
    assert rows["clar"][3] == "–"
    assert rows["clar"][4].startswith("not run: nobody has published")
    whole = [dataclasses.replace(one, task=task) for task in SUITE.task_names]
    rows = {row[2]: row for row in ledger(whole, cards(), SUITE, "clar").rows}
    assert rows["dp3"][4] == "done"


# -- CLAMP's Table I ---------------------------------------------------------------------------------------------------


def act(task: str, protocol: str = "clamp", **identity: Any) -> Record:
    """Of a whole policy that looks at images."""
    register_baselines()
    one = record(task, "dp3", (20, 60, 18), suite="aloha-6", protocol=protocol, env="aloha", head="whole")
    card = class_of("act").card
    one = dataclasses.replace(one, method="act", card=card.as_dict(), identity_hash=f"{task} {protocol}")
    identity = {"method": {"name": card.name, "version": card.version}, **identity}
    env = {"name": "aloha", "version": "aloha==1, aloha_sim 3cb9adff (ab12), stand-ins for mug plate, noise=0.02"}
    return dataclasses.replace(one, identity={**one.identity, "env": env, **identity})


def clamp(records: list[Record], protocol: str = "clamp") -> Table:
    register_baselines()
    return ledger(records, [*cards(), *whole_policies()], ALOHA, protocol, "clamp")


def test_clamps_rows_with_their_means_and_commands() -> None:
    table = clamp([])
    rows = {row[0]: row[1:] for row in table.rows}
    printed = {number.method for number in reported("clamp", "Table I")}
    assert set(rows) == printed and rows["ALOHA Unleashed with CLAMP"][0] == "87.8"
    whole, only = rows["ALOHA Unleashed with CLAMP"], rows["ACT with CLAMP Encoders Only"]
    assert (whole[1], only[1]) == ("aloha-unleashed+clamp", "act+clamp")
    assert only[3].startswith("not run: nobody has published CLAMP's weights") and "--encoders-only" in only[4]
    first = "bench pretrain --method clamp --data aloha-pretrain; "
    then = "bench pretrain --policy aloha-unleashed --suite aloha-pretrain --protocol clamp; bench run --suite aloha-6 "
    assert whole[4].startswith(first + then) and only[4].startswith(first + "bench run") and "splat=3" in only[4]
    assert rows["ACT"][3].startswith("not run: needs a GPU for the paper's 1,000,000 steps")
    assert rows["Pretrained ACT"][4].startswith("bench pretrain --policy act --suite aloha-pretrain --protocol clamp; ")
    assert not set(table.notes) & {clamp_1.OTHER_DEMONSTRATIONS, clamp_1.OTHER_RENDERER, clamp_1.OTHER_RACK}


def test_what_does_not_compare_is_said_of_the_records_that_are_shown() -> None:
    taught = {"files": {}, "pretraining": {"objective": "policy"}}
    pretrained = dataclasses.replace(act("mug-on-plate"), weights=taught)
    small = act("drawer-open")
    small.identity["method"]["options"] = {"size": "small"}
    table = clamp([act("drawer-open"), pretrained])
    rows = {row[0]: row[1:] for row in table.rows}
    assert rows["ACT"][2].startswith("60.0 [") and rows["ACT"][2].endswith("1/6")
    assert rows["ACT"][3] == "partly: drawer-open" and rows["Pretrained ACT"][3] == "partly: mug-on-plate"
    assert clamp_1.OTHER_DEMONSTRATIONS in table.notes and clamp_1.OTHER_RACK not in table.notes
    assert clamp_1.OTHER_RENDERER in table.notes, "it looks at images"
    assert any("visual meshes of mug plate:" in note for note in table.notes), "and only at the replaced meshes"
    table = clamp([act("plate-on-rack"), act("drawer-open", observation={})])
    assert clamp_1.OTHER_RACK in table.notes
    small_alone = clamp([small])
    assert {row[3] for row in small_alone.rows} == {"–"} and clamp_1.OTHER_DEMONSTRATIONS not in small_alone.notes
    assert any(note.startswith("in no row of the paper's") and "act, whole" in note for note in small_alone.notes)


def test_the_small_protocol_compares_with_nothing() -> None:
    made = [act(task, "clamp-small") for task in ALOHA.task_names]
    table = clamp(made, "clamp-small")
    (row,) = [row for row in table.rows if row[0] == "ACT"]
    assert row[4] == "not comparable: protocol clamp-small is not the paper's"
    assert "its numbers do not compare with the reported ones" in table.notes[0]
    assert [row[4] for row in clamp([dataclasses.replace(r, protocol="clamp") for r in made]).rows].count("done") == 1


def test_suites_of_the_other_paper_are_refused() -> None:
    with pytest.raises(ConfigError, match="--paper clamp"):
        ledger([], cards(), ALOHA, "clar")
    with pytest.raises(ConfigError, match="--suite aloha-6"):
        ledger([], cards(), SUITE, "clamp", "clamp")
    with pytest.raises(ConfigError, match="is none of clar, clamp"):
        ledger([], cards(), SUITE, "clar", "clip")


@pytest.mark.slow
def test_the_command_line(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["ledger", "--paper", "clamp", "--format", "csv", "--records", str(tmp_path)])
    rows = {row[0]: row for row in csv.reader(plain(done.stdout))}
    assert done.exit_code == 0 and rows["ACT"][:3] == ["ACT", "46.4", "act"], done.output
    assert "# protocol: clamp\n" in done.stdout and "# title: Ledger of CLAMP Table I\n" in done.stdout
    for given, said in (
        ("clip", "--paper clip is none of clar, clamp"),
        ("clamp", "rlbench-4 has not: --suite aloha-6"),
    ):
        done = CliRunner().invoke(app, ["ledger", "--paper", given, "--suite", "rlbench-4", "--records", str(tmp_path)])
        assert done.exit_code == 2 and said in " ".join(done.output.split()), done.output


def test_the_page_has_clamps_table_last(tmp_path: Path) -> None:
    tables = page_tables(
        [(tmp_path / "a.json", act("drawer-open")), (tmp_path / "b.json", record("hammer", "dp3", (1, 1, 1)))]
    )
    assert [table.title.partition(",")[0] for table in tables] == ["CLAR Table I", "CLAMP Table I"]
    unmeasured = [row for row in tables[-1].rows if set(row[2:]) == {clamp_1.MISSING}]
    assert len(unmeasured) == 7, "which the page folds: all rows but ACT"
    assert clamp_1.OTHER_DEMONSTRATIONS in tables[-1].notes


@pytest.mark.slow
def test_a_terminal_gets_a_table_and_a_file_markdown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = ["ledger", "--paper", "clamp", "--records", str(tmp_path)]
    assert CliRunner().invoke(app, asked).stdout.startswith("**Ledger of CLAMP Table I**")
    monkeypatch.setattr("benchmark.cli.tables.is_terminal", lambda: True)
    assert CliRunner().invoke(app, asked).stdout.startswith("Ledger of CLAMP Table I")
