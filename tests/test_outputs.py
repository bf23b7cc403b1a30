"""What leaves `bench`: a full disk, a closed output, any terminal, text that wants to be obeyed, CSV, JSON."""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import io
import json
import math
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from benchmark.cli.main import app
from benchmark.cli.options import print_json
from benchmark.experiment.make_cells import make_cells
from benchmark.experiment.run_cells import run_cells
from benchmark.records.paths import Paths, record_path
from benchmark.records.record import Record
from benchmark.records.write import write
from benchmark.report.page.build import build
from benchmark.report.tables.forms import FORMATS, csv_cell, render
from benchmark.report.tables.marks import as_data, marks
from benchmark.report.tables.protocol_note import named
from benchmark.report.tables.table import Table
from benchmark.settings.settings import Settings
from benchmark.system import streams
from benchmark.system.files import StorageError, allocate, write_atomically, write_json
from benchmark.system.printable import ENCODING, one_line, printable, to_ascii
from benchmark.system.progress import columns
from tests.made_records import agreeing
from tests.report.made import one, place

FASTER = "learning_rate 0.002 instead of"

# -- a full disk ------------------------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A filesystem of 256 KiB."""
    place = tmp_path / "disk"
    place.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(place)], capture_output=True)
    if done.returncode:
        pytest.skip("mounting a tmpfs is not permitted here")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.mark.slow
def test_whatever_a_library_raises_a_full_disk_is_named_and_leaves_nothing(small_disk: Path) -> None:
    weights = {"x": torch.zeros(300_000)}  # torch raises a RuntimeError of its own
    several = {str(i): torch.zeros(100) for i in range(3000)}
    for name, attempt in (
        ("a.pt", lambda: write_atomically(small_disk / "a.pt", lambda file: torch.save(weights, file))),
        ("b.pt", lambda: write_atomically(small_disk / "b.pt", lambda file: torch.save(several, file))),
        ("c.json", lambda: write_json(small_disk / "c.json", list(range(100_000)))),
        ("d.npy", lambda: allocate(small_disk / "d.npy", (10**6,), "float32")),
    ):
        with pytest.raises(StorageError, match=rf"the disk is full: .*{name} could not be written. Finished parts"):
            attempt()
        assert list(small_disk.iterdir()) == []


@pytest.mark.slow
def test_a_limit_on_the_size_of_files_is_named(tmp_path: Path) -> None:
    code = (
        "import resource, torch, pathlib, benchmark.system.files as s\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (9999, 9999))\n"
        "try: s.write_atomically(pathlib.Path('a.pt'), lambda f: torch.save({'x': torch.zeros(9999)}, f))\n"
        "except s.StorageError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout.startswith("the limit on the size of a file is reached (ulimit -f): a.pt"), done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_at_a_checkpoint_the_run_stops_and_goes_on_where_there_is_space(
    toy_settings: Settings, tmp_path: Path, small_disk: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    cells = make_cells(toy_settings, ["near"], ["state"], [0, 1])
    with pytest.raises(StorageError, match=r"the disk is full: .*epoch-0002.pt could not be written"):
        run_cells(cells, Paths(small_disk, tmp_path / "data"), "test", overwrite=False)
    said = capfd.readouterr().err
    assert "cell 1/2" in said and "cell 2/2" not in said
    assert not list(small_disk.rglob("*.pt")) and not list(small_disk.rglob("error.txt"))


@pytest.mark.slow
def test_verbs_on_a_full_disk_are_one_line(small_disk: Path, tmp_path: Path) -> None:
    path = put(one("reach", "dp3"), tmp_path / "records")
    with contextlib.suppress(OSError), open(small_disk / "fill", "wb") as file:
        file.write(bytes(2**20))
    runs = ("--records", str(tmp_path / "records"))
    for words in (
        ("report", "--to", str(small_disk / "report"), *runs),
        ("export", "--to", str(small_disk / "x.csv"), *runs),
        ("verify", "state", "--out", str(small_disk)),
    ):
        done = CliRunner().invoke(app, [*words])
        last = done.stderr.strip().splitlines()[-1]
        assert done.exit_code in (1, 2) and done.exception.__class__ is SystemExit, done.stderr
        assert last.startswith("error: the disk is full: ") and str(small_disk) in last
    assert path.exists()


@pytest.mark.slow
def test_a_report_is_never_half_a_file(small_disk: Path, tmp_path: Path) -> None:
    placed = [place(one("reach", "dp3", seed=seed), tmp_path) for seed in range(2)]
    with pytest.raises(StorageError):
        build(placed * 200, [], ["x" * 300_000], small_disk / "report")
    for file in (small_disk / "report").rglob("*.html"):
        assert file.read_text().rstrip().endswith("</html>")
    assert not list((small_disk / "report").rglob(".*"))


# -- standard output that cannot be written ---------------------------------------------------------------------------

BENCH = [sys.executable, "-m", "benchmark.cli"]
SHOW = [*BENCH, "show", "dp3"]


def shell(line: str, cwd: Path, **environment: str) -> tuple[int, str, str]:
    text = line.replace("BENCH", " ".join(BENCH))
    done = subprocess.run(["bash", "-c", text], cwd=cwd, capture_output=True, env=os.environ | environment)
    return done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")


@pytest.mark.slow
@pytest.mark.parametrize("words", ["BENCH show dp3", "BENCH --help", "BENCH list --json"])
def test_a_full_or_closed_output_is_one_line_and_no_success(words: str, tmp_path: Path) -> None:
    for how, reason in (("> /dev/full", "No space left on device"), (">&-", "Bad file descriptor")):
        code, _, err = shell(f"{words} {how}", tmp_path)
        assert code == 1
        assert err == f"error: standard output cannot be written ({reason}); what was computed is kept\n"


@pytest.mark.slow
def test_a_reader_that_has_gone_is_told_nothing(tmp_path: Path) -> None:
    for words in (SHOW, [*BENCH, "--help"]):
        reading, writing = os.pipe()
        os.close(reading)
        done = subprocess.run(words, cwd=tmp_path, stdout=writing, stderr=subprocess.PIPE, text=True)
        os.close(writing)
        assert done.stderr == "" and done.returncode in (1, streams.PIPE)


@pytest.mark.slow
def test_without_standard_error_the_exit_code_stays(tmp_path: Path) -> None:
    for how in ("2>&-", "2>/dev/full"):
        code, out, _ = shell(f"BENCH run --method dp4 {how}", tmp_path)
        assert (code, out) == (2, "")


def test_files_do_not_take_the_place_of_closed_streams(tmp_path: Path) -> None:
    code = (
        "import os, sys, benchmark.system.streams as s; s.prepare(); f = open('x', 'w'); "
        "os.write(f.fileno(), b'mine'); print('lost', file=sys.stderr); sys.exit(f.fileno())"
    )
    done = subprocess.run(
        ["bash", "-c", f'{sys.executable} -c "{code}" <&- >&- 2>&-'],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])},
        cwd=tmp_path,
    )
    assert done.returncode == 3 and (tmp_path / "x").read_text() == "mine"


def test_only_results_reach_standard_output_and_a_program_that_takes_over_gets_it_back() -> None:
    code = (
        "import os, sys, benchmark.system.streams as s; s.prepare()\n"
        "with s.for_results_alone():\n"
        "    print('printed'); os.system('echo by a shell'); s.write('result\\n')\n"
        "    s.give_back(); os.execv('/bin/echo', ['echo', 'taken over'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "result\ntaken over\n"
    assert sorted(done.stderr.splitlines()) == ["by a shell", "printed"]


# -- terminals --------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_terminal_that_lacks_signs_gets_ascii_in_their_place(encoding: str, records: Path, tmp_path: Path) -> None:
    line = f"BENCH table 1 --protocol clar+learning_rate=0.002 --records {records} && BENCH list"
    code, out, err = shell(line, tmp_path, PYTHONIOENCODING=encoding, COLUMNS="150")
    assert code == 0 and "Error" not in err
    _, plain, _ = shell(line, tmp_path, PYTHONIOENCODING="utf-8", COLUMNS="150")
    assert not plain.isascii() and out.isascii()
    assert [len(line) for line in out.splitlines()] == [len(line) for line in plain.splitlines()]


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("", None),
        ("0", None),
        ("-5", None),
        ("abc", None),
        ("²", None),
        ("1e3", None),
        ("40", 40),
        ("7", 20),
        ("1000000000", 1000),
        ("9" * 5000, None),
    ],
)
def test_columns_are_believed_within_reason(
    said: str, expected: int | None, records: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert columns({"COLUMNS": said}) == expected
    monkeypatch.setenv("COLUMNS", said)
    lines = told(records, "table", "1", "--protocol", "clar+learning_rate=0.002").splitlines()
    assert max(map(len, lines)) <= (expected or 120)


def test_ascii_is_as_wide_as_what_it_stands_for() -> None:
    from rich.cells import cell_len

    for text in ("–", "†", "×", "é", "ß", "…", "─", "漢字", "e\u0301", "½", "🤖", "Ω"):
        assert to_ascii(text).isascii() and len(to_ascii(text)) == cell_len(text), text
    assert "naïve – 3 × ½ †".encode("ascii", ENCODING).decode() == "naive - 3 x ? +"


# -- text that wants to be obeyed -------------------------------------------------------------------------------------

EVIL = "\x1b[2J\x1b]0;owned\x07mine\r\n\u202egnorw\u2028 \x9b31m\x00 | a & b_c <script>alert(1)</script> \\ ` # $ %"


def test_control_characters_are_written_out() -> None:
    shown = printable(EVIL)
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e\u2028]", shown)
    assert r"\x1b[2J" in shown and r"\u202e" in shown
    assert one_line("a\r\n b\u2028c\td") == "a b c d"
    assert printable("two\nlines\tof – text †") == "two\nlines\tof – text †"


@pytest.mark.parametrize("form", FORMATS)
def test_no_form_of_a_table_is_broken_by_its_text(form: str) -> None:
    table = Table(EVIL, ("method", EVIL), ((EVIL, "1"), ("b", EVIL)), (EVIL,), bold=frozenset({(0, 0)}))
    text = render(table, form, 400).replace("\x1b[1m", "").replace("\x1b[0m", "")
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e\u2028]", text)
    tame = dataclasses.replace(
        table, title="t", columns=("method", "x"), rows=(("a", "1"), ("b", "x")), notes=("note",)
    )
    if form not in ("terminal", "csv"):
        assert text.count("\n") == render(tame, form, 400).count("\n")
    if form == "markdown":
        rows = [line for line in text.splitlines() if line.startswith("|")]
        assert {len(re.findall(r"(?<!\\)(?:\\\\)*\|", line)) for line in rows} == {3}
    if form in ("markdown", "html"):
        assert "<script" not in text
    if form == "latex":
        assert text.count("{") == text.count("}") and not re.search(r"(?<!\\)[%#$]", text.replace(r"\%", ""))
    if form == "csv":
        rows = list(csv.reader(line for line in io.StringIO(text) if not line.startswith("#")))
        assert [len(row) for row in rows] == [2, 2, 2]


@pytest.mark.slow
def test_nothing_that_is_said_or_shown_reaches_a_terminal_raw(tmp_path: Path) -> None:
    """A record's and a card's text, an error's, a file's name."""
    hostile = dataclasses.replace(one("reach", "dp3"), method="dp3\x1b[2J\u202e")
    place(hostile, tmp_path)
    shown = CliRunner().invoke(
        app, ["table", "1", "--cells", "--protocol", hostile.protocol, "--records", str(tmp_path)]
    )
    wrong = CliRunner().invoke(app, ["run", "--method", "dp3\x1b[31m\r\n"])
    for done in (shown, wrong):
        assert "\x1b" not in done.output and "\u202e" not in done.output and "\r" not in done.output, done.output
    assert r"dp3\x1b[31m" in wrong.stderr and wrong.exit_code == 2


@pytest.mark.parametrize(
    "text", ["=1+1", "@SUM(A1)", "+cmd|' /C calc'!A0", "-2+3+cmd()", "=HYPERLINK(1)", "\t=1", "+A1"]
)
def test_a_spreadsheet_meets_no_formula(text: str) -> None:
    assert csv_cell(text).startswith("'") or csv_cell(text)[0] not in "=+-@\t\r"


@pytest.mark.parametrize("text", ["-3.5", "+1.5 [0.5, 2.5]", "1e-5", "-1e-05", "–", "-", "-0.1 [-3, 2]", "dp3", "-nan"])
def test_numbers_stay_numbers(text: str) -> None:
    assert csv_cell(text) == text


# -- CSV and JSON say what they are -----------------------------------------------------------------------------------


def told(path: Path, *words: str) -> Any:
    done = CliRunner().invoke(app, [*words, "--records", str(path)])
    assert done.exit_code == 0, done.output
    return done.stdout


def put(made: Record, root: Path, **protocol: Any) -> Path:
    made = agreeing(made, **protocol)
    path = record_path(root, made.protocol, made.suite, made.task, made.method, made.head, made.seed)
    write(made, path)
    return path


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a protocol that is not the paper's."""
    root = tmp_path_factory.mktemp("records")
    for method in ("dp3", "pointnet"):
        for seed in range(3):
            put(
                dataclasses.replace(one("reach", method, seed=seed), protocol="clar+learning_rate=0.002"),
                root,
                learning_rate=0.002,
            )
    return root


def test_csv_begins_with_what_it_is_and_pandas_reads_the_rest(records: Path) -> None:
    text = told(records, "table", "1", "--protocol", "clar+learning_rate=0.002", "--format", "csv")
    head = [line for line in text.splitlines() if line.startswith("# ")]
    for start in (
        "# title: CLAR Table I",
        "# suite: metaworld-15",
        "# protocol: clar+learning_rate=0.002",
        "# departs from the paper's protocol: protocol clar+learning_rate=0.002 is not the paper's "
        "(learning_rate 0.002 instead of ",
        "# mark †: mean over",
        "# mark best*: ",
        "# note: ",
    ):
        assert any(line.startswith(start) for line in head), start
    assert text.startswith("# ") and text.splitlines()[len(head)].startswith("method,number,")
    pandas = pytest.importorskip("pandas")
    frame = pandas.read_csv(io.StringIO(text), comment="#")
    assert list(frame.columns)[:2] == ["method", "number"] and "reported" in set(frame["number"])


def test_a_cell_with_a_hash_is_no_comment() -> None:
    text = render(Table("t", ("a", "b"), (("#1 of 2", "x # y"),)), "csv")
    assert text.splitlines()[-1] == '"#1 of 2","x # y"'


@pytest.mark.slow
def test_json_carries_the_same(records: Path) -> None:
    common = ("--protocol", "clar+learning_rate=0.002", "--json")
    data = json.loads(told(records, "table", "1", *common))
    assert (
        data["suite"] == "metaworld-15"
        and data["protocol"] == "clar+learning_rate=0.002"
        and data["columns"][0] == "method"
    )
    assert FASTER in data["departs_from_paper"][0] and data["marks"]["†"].startswith("mean over")
    for words, inner in ((("compare", "dp3", "pointnet"), "pairs"), (("spread",), "methods")):
        data = json.loads(told(records, *words, *common))
        assert data["title"] and data["suite"] == "metaworld-15" and data["protocol"] == "clar+learning_rate=0.002", (
            words
        )
        assert FASTER in data["departs_from_paper"][0] and data["notes"] and data[inner], words
    data = json.loads(told(records, "plan", "--protocol", "quick", "--json"))
    assert data["title"] and "epochs" in data["departs_from_paper"][0] and data["notes"] and data["plans"]


@pytest.mark.slow
def test_export_says_what_departs(records: Path, tmp_path: Path) -> None:
    told(records, "export", "--to", str(tmp_path / "x.csv"))
    with (tmp_path / "x.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 6 and all(FASTER in row["departs_from_paper"] for row in rows)
    told(records, "export", "--format", "leaderboard-json", "--to", str(tmp_path / "x.json"))
    data = json.loads((tmp_path / "x.json").read_text())
    assert FASTER in data["boards"][0]["departs_from_paper"] and "value = k / n" in data["title"]


def test_marks_are_those_of_the_table() -> None:
    table = Table(
        "t",
        ("method", "number"),
        (("a untrained", "reported"), ("b (reference)", "60.0 [50, 69] † 1/4")),
        ("(1) an erratum.",),
        bold=frozenset({(1, 1)}),
    )
    assert set(marks(table)) == {"untrained", "reported", "(reference)", "[low, high]", "†", "(1)", "bold"}
    assert as_data(named(table, "s", "quick"))["departs_from_paper"]


def test_json_has_no_word_that_json_lacks(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"a": [math.nan, math.inf, -math.inf, 1.5], "b": ({"c": math.nan},), "d": Path("x"), "e": "\x1b[2J"})
    out = capsys.readouterr().out
    found = json.loads(out, parse_constant=lambda word: pytest.fail(word))
    assert found["a"] == [None, None, None, 1.5] and found["b"] == [{"c": None}]
    assert "\x1b" not in out
