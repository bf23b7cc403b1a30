"""Tables from a fixed set of records, byte for byte, and what must never be averaged."""

from __future__ import annotations

import csv
import dataclasses
import os
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from benchmark.cli.main import app
from benchmark.records.gather import gather
from benchmark.records.paths import record_path
from benchmark.records.read import BadRecord, read_all
from benchmark.records.record import SCHEMA, Evaluation, Record, Tally
from benchmark.records.write import write
from benchmark.report.tables.clar_1 import cells_table, clar_table_1
from benchmark.report.tables.forms import FORMATS, render
from benchmark.report.tables.only_printed import PAPERS, ROMAN
from benchmark.report.tables.printed_numbers import reported
from benchmark.settings.load import load_settings
from benchmark.system.digest import digest
from methods.registry import method_class
from tests.made_records import agreeing

GOLDEN = Path(__file__).parents[1] / "golden"
SUITE = load_settings("metaworld-15", "clar", "mlp").suite


def plain(text: str) -> list[str]:
    """CSV without the lines that say what it is."""
    return [line for line in text.splitlines() if not line.startswith("#")]


def listed(successes: int, of: int) -> Evaluation:
    """A retest whose first episodes succeed."""
    return Evaluation(10, Tally(successes, of, 0), tuple((i, int(i < successes), 50, None) for i in range(of)))


def record(task: str, method: str, counts: tuple[int, int, int], **changes: Any) -> Record:
    """best k/25, retest k/100, last k/25."""
    best, retest, last = counts
    card = method_class(method).card
    cameras = {"cameras": ["corner"]} if card.observes and method != "state" else {}
    made = Record(
        schema=SCHEMA,
        suite="metaworld-15",
        task=task,
        method=method,
        head="mlp",
        seed=0,
        protocol="clar",
        identity={
            "observation": cameras,
            "precision": "fp32",
            "task": task,
            "seed": changes.get("seed", 0),
            "method": {"name": card.name, "version": card.version},
            "head": {"name": changes.get("head", "mlp")},
            "env": {"name": "metaworld", "version": "metaworld==3.1.1", "packages": {"mujoco": "3.3.0"}},
            "suite": {"name": changes.get("suite", "metaworld-15")},
            "protocol": {"name": changes.get("protocol", "clar")},
        },
        identity_hash="",
        card=card.as_dict(),
        env="metaworld",
        success_rule="any-step",
        horizon=200,
        demo_hash=f"demos of {task}",
        demos={"train": 25},
        training={"optimizer_steps": 46950},
        selected_epoch=10,
        evaluations=(Evaluation(10, Tally(best, 25, 0), ()), Evaluation(20, Tally(last, 25, 0), ())),
        retest=listed(retest, 100),
        frozen={},
        weights={},
        fingerprint="f",
        provenance={},
        timings={},
    )
    made = dataclasses.replace(made, **changes)
    return made if made.identity_hash else dataclasses.replace(made, identity_hash=digest([made.identity, made.method]))


@pytest.fixture
def records() -> list[Record]:
    easy = SUITE.tasks["easy"]
    made = [record(task, "dp3", (25 - i, 90 - i, 24 - i)) for i, task in enumerate(easy)]
    made += [record("hammer", "dp3", (20, 70, 15)), record("hammer", "state", (25, 97, 24))]
    made += [record("hammer", "pointnet", (9, 30, 9), retest=Evaluation(10, Tally(30, 98, 2), ()))]
    return made


@pytest.mark.parametrize("form", FORMATS)
def test_table_1_is_the_golden_one(form: str, records: list[Record]) -> None:
    table, _ = clar_table_1(records, SUITE, "clar")
    golden = GOLDEN / f"clar-table-1.{form}"
    text = render(table, form, 120)
    if os.environ.get("REGENERATE_GOLDEN"):
        golden.write_text(text)
    assert text == golden.read_text()


def test_the_numbers_in_it(records: list[Record]) -> None:
    table, _ = clar_table_1(records, SUITE, "clar")
    rows = {(r[0], r[1]): r[2:] for r in csv.reader(plain(render(table, "csv")))}
    assert rows["CLAR", "reported"] == ["96.0", "80.8", "71.2", "82.6", "82.0"]
    assert rows["dp3, mlp", "best*"][0] == "92.0"  # mean of 25..21 of 25
    assert rows["dp3, mlp", "retest"][0].startswith("88.0 [")
    assert rows["dp3, mlp", "retest"][1] == "70.0 [60, 78] † 1/5"  # Wilson of 70/100
    assert rows["dp3, mlp", "retest"][2] == "not run"
    assert rows["dp3, mlp", "last"][3] == "83.3 † 6/15"  # (96 + 92 + 88 + 84 + 80 + 60) / 6
    assert rows["pointnet, mlp", "retest"][1].startswith("30.6 [")  # 30 of 98: errors are not failures
    assert any("hammer/pointnet (2)" in note for note in table.notes)


def test_every_printed_number_and_erratum_is_shown(records: list[Record]) -> None:
    table, _ = clar_table_1([], SUITE, "clar")
    text = "\n".join(plain(render(table, "csv")))
    for number in reported("clar", "Table I"):
        assert f"{number.value:.1f}" in text, number
    notes = " ".join(table.notes)
    for words in ("55.5", "50.5 fits neither", "truncated", "takes RGB", "25 rollouts"):
        assert words in notes
    assert text.count("not run") == 11 * 5


@pytest.mark.parametrize(
    "change",
    [
        {"success_rule": "last-step"},
        {"demo_hash": "others"},
        {"horizon": 500},
        {"identity": {"observation": {"cameras": ["corner2"]}, "precision": "fp32"}},
        {"identity": {"observation": {"cameras": ["corner"]}, "precision": "bf16"}},
    ],
    ids=["success rule", "demonstrations", "horizon", "camera", "precision"],
)
def test_records_made_under_other_conditions_are_named_and_left_out(change: dict, records: list[Record]) -> None:
    before, _ = clar_table_1(records, SUITE, "clar")
    odd = record("hammer", "dp3", (0, 0, 0), seed=1, **change)
    table, apart = clar_table_1([*records, odd], SUITE, "clar")
    assert table.rows[: len(before.rows)] == before.rows, "never averaged in"
    (shown,) = table.rows[len(before.rows) :]
    assert shown[:2] == ("dp3, mlp s1, hammer", "excluded") and shown[3].startswith("0.0 [")
    assert apart
    assert "hammer/dp3/mlp-s1" in apart[0]


def test_many_records_apart_are_counted(records: list[Record]) -> None:
    odd = [record("hammer", "dp3", (0, 0, 0), seed=seed, horizon=500, identity_hash=str(seed)) for seed in range(1, 6)]
    odd = [dataclasses.replace(r, task=task) for r in odd for task in ("reach", "hammer", "assembly")]
    made = [record(task, "dp3", (20, 80, 20)) for task in SUITE.task_names]
    table, _ = clar_table_1([*made, *odd, *records[:5]], SUITE, "clar")
    assert [row[1] for row in table.rows].count("excluded") == 13 and table.rows[-1][0] == "and 3 more (--cells)"


def test_other_protocols_and_seeds(records: list[Record]) -> None:
    before, _ = clar_table_1(records, SUITE, "clar")
    quick = record("hammer", "dp3", (0, 0, 0), protocol="quick")
    assert clar_table_1([*records, quick], SUITE, "clar")[0].rows == before.rows
    second = record("hammer", "dp3", (20, 90, 15), seed=1)
    rows = {r[:2]: r[2:] for r in clar_table_1([*records, second], SUITE, "clar")[0].rows}
    assert rows["dp3, mlp", "retest"][1].startswith("80.0 ["), "seeds of one cell are pooled"


def test_a_task_that_could_never_be_run_is_no_number() -> None:
    odd = record("hammer", "dp3", (0, 0, 0), retest=Evaluation(10, Tally(0, 0, 100), ()))
    rows = {r[:2]: r[2:] for r in clar_table_1([odd], SUITE, "clar")[0].rows}
    assert rows["dp3, mlp", "retest"][1] == "errors only"


def test_the_cells_table(records: list[Record]) -> None:
    text = render(cells_table(records), "csv")
    assert 'hammer,state,mlp s0,clar,25/25,"97/100 = 97 % [92, 99]",24/25,0,"46,950"' in text


def put(one: Record, root: Path) -> tuple[Record, Path]:
    """Written where its names put it, with the seeds, counts and settings that a record of such outcomes has."""
    made = agreeing(one)
    path = record_path(root, made.protocol, made.suite, made.task, made.method, made.head, made.seed)
    write(made, path)
    return made, path


def test_damaged_records_are_reported_and_the_others_read(tmp_path: Path, records: list[Record]) -> None:
    made, path = put(records[0], tmp_path)
    path.with_name("mlp-s1.json").write_text("{")
    first, second = (record for _, record in read_all([tmp_path]))
    assert isinstance(first, Record) and dataclasses.replace(first, seal="") == made
    assert isinstance(second, BadRecord) and second.path == path.with_name("mlp-s1.json")


def test_one_experiment_counts_once_and_the_first_root_wins(tmp_path: Path, records: list[Record]) -> None:
    other = dataclasses.replace(records[0], retest=Evaluation(10, Tally(1, 100, 0), ()))
    for root, one in (("mine", records[0]), ("copied", records[0]), ("theirs", other)):
        _, path = put(one, tmp_path / root)
    roots = [tmp_path / root for root in ("mine", "mine", "copied", "theirs")]
    assert len(list(read_all(roots))) == 3, "a folder that is named twice is read once"
    found, notes = gather(roots, tmp_path)
    assert [there for there, _ in found] == [tmp_path / "mine" / path.relative_to(tmp_path / "theirs")]
    assert "with other outcomes" in notes[0] and "is a copy of" in notes[1] and len(notes) == 2


def test_latex_compiles_as_far_as_braces_go(records: list[Record]) -> None:
    text = render(clar_table_1(records, SUITE, "clar")[0], "latex")
    assert text.count("{") == text.count("}")
    assert r"\toprule" in text
    assert r"\bottomrule" in text
    body = text.split(r"\midrule", 1)[1].split(r"\bottomrule")[0]
    lines = [line for line in body.splitlines() if line.endswith(r"\\")]
    assert {line.count(" & ") for line in lines} == {6}


def test_the_paper_tables_are_complete() -> None:
    counts = {
        "clar": {"Table I": 53, "Table II": 25, "Table III": 36, "Table IV": 40, "Table V": 5},
        "clamp": {"Table I": 48, "Table II": 20, "Table III": 24, "Table IV": 6},
    }
    for paper, tables in counts.items():
        for name, count in tables.items():
            assert len(reported(paper, name)) == count, (paper, name)


@pytest.mark.parametrize(("paper", "number"), [(p, n) for p, ns in PAPERS.items() for n in ns])
def test_every_table_of_both_papers_prints_what_the_paper_prints(paper: str, number: int, tmp_path: Path) -> None:
    (tmp_path / "records").mkdir()
    words = ["table", str(number), "--paper", paper, "--format", "csv", "--out", str(tmp_path)]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    rows = list(csv.reader(plain(done.stdout)))
    values = reported(paper, f"Table {ROMAN[number]}")
    assert values
    printed = [row for row in rows if len(row) > 1 and row[1] == "reported"]
    assert len(printed) == len({value.method for value in values})
    cells = " ".join(" ".join(row) for row in printed)
    assert all(f"{value.value:g}" in cells for value in values)
    assert any("not run" in row for row in rows), "nothing is measured here, and it says so"


@pytest.mark.slow
def test_tables_that_no_paper_has() -> None:
    for arguments, message in (
        (["9"], "clar has no table 9"),
        (["5", "--paper", "clamp"], "clamp has no table 5"),
        (["1", "--paper", "act"], "none of clar, clamp"),
        (["3", "--suite", "metaworld-15"], "has the tasks of metaworld-multitask"),
        (["3", "--format", "word"], "none of terminal"),
    ):
        done = CliRunner().invoke(app, ["table", *arguments])
        assert done.exit_code == 2
        assert message in done.stderr


def test_a_partial_mean_of_a_record_that_is_apart_is_explained_too() -> None:
    """Its line says †, even where no other line does."""
    alike = [record(task, "dp3", (20, 70, 15)) for task in SUITE.task_names]
    other = dataclasses.replace(record("reach", "dp3", (20, 70, 15), seed=1))
    odd = dataclasses.replace(other, identity={**other.identity, "precision": "bf16"})
    table, apart = clar_table_1([*alike, odd], SUITE, "clar")
    assert apart and any("† 1/15" in cell for row in table.rows if row[1] == "excluded" for cell in row)
    assert not any("†" in cell for row in table.rows if row[1] != "excluded" for cell in row)
    assert any(note.startswith("† ") for note in table.notes)
