"""What the report's data says, and that it is whole, escaped, and the same for the same records."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import re
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from benchmark.cli.main import app
from benchmark.records.read import read_all
from benchmark.records.record import Record
from benchmark.records.shifted_retests import write_shifts
from benchmark.report.page import facts
from benchmark.report.page.build import build
from benchmark.report.page.film import chosen, film, filmed, films_wanted, packed
from benchmark.report.statistics.intervals import inflation, wilson
from benchmark.report.tables.table import Table
from tests.report.made import RATES, TASKS, one, place, several

MEASURED = Path(__file__).resolve().parents[2] / "results" / "measured"
VALIDATOR = MEASURED.parents[1] / ".tools" / "vnu.jar"
TABLE = Table(
    "A <table>", ("method", "%"), (("x & y", "1"), ("z", "2")), ("a <note>",), frozenset({1}), 1, frozenset({(0, 1)})
)


@pytest.fixture(scope="module")
def placed(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Path, Record]]:
    return several(tmp_path_factory.mktemp("records"))


def read_script(path: Path) -> Any:
    text = path.read_text()
    assert "<" not in text, "nothing in the data can end its script"
    return json.loads(re.fullmatch(r"window\.\w+=(.*);\n", text, re.DOTALL).group(1))  # type: ignore[union-attr]


@pytest.mark.slow
def test_every_cell_is_there_with_its_numbers(placed: list[tuple[Path, Record]], tmp_path: Path) -> None:
    page = build(placed, [TABLE], ["left <out>"], tmp_path / "r")
    data = read_script(tmp_path / "r/assets/data.js")
    assert len(data["cells"]) == len(placed) == len({row["id"] for row in data["cells"]})
    for row, (_, record) in zip(data["cells"], placed, strict=True):
        test = record.retest.tally
        assert (row["retest"], row["best"]) == ([test.k, test.n], [record.best.k, record.best.n])
        assert (row["low"], row["high"]) == pytest.approx(wilson(test.k, test.n))
        assert row["gap"] == pytest.approx(record.best.rate - test.rate)
        assert row["expected"] == pytest.approx(inflation(test.rate, 15, 25))
        cell = read_script(tmp_path / "r/cells" / f"{row['id']}.js")
        assert [e["epoch"] for e in cell["evaluations"]] == list(range(10, 151, 10))
        assert sum(won == 1 for _, won, _ in cell["retested"]["episodes"]) == test.k
        assert cell["provenance"]["command"] == "bench run" and cell["identity_hash"] == record.identity_hash
    text = page.read_text()
    assert "A &lt;table&gt;" in text and "<strong>1</strong>" in text and "left &lt;out&gt;" in text
    assert not re.search(r"@[A-Z]+@", text), "every place of the template is filled"


def test_errors_are_neither_successes_nor_failures(placed: list[tuple[Path, Record]]) -> None:
    path, record = next(p for p in placed if p[1].task == "hammer" and p[1].method == "pointnet")
    found = facts.cell(record, path)
    assert found["errors"] == 1 and [won for _, won, _ in found["retested"]["episodes"]].count(-1) == 1


def test_the_note_behind_a_name_has_no_brackets_of_its_own(placed: list[tuple[Path, Record]]) -> None:
    _, plain = placed[0]
    ours = dataclasses.replace(plain, reference=True)
    random = dataclasses.replace(ours, weights={"untrained": True})
    assert [facts.row(r)["note"] for r in (plain, ours, random)] == ["", "reference", "untrained, reference"]


def test_a_groups_methods_heads_and_cameras(placed: list[tuple[Path, Record]]) -> None:
    plain, moved = facts.groups(placed)
    assert (plain["suite"], plain["protocol"], plain["tasks"]) == ("metaworld-15", "clar", sorted(TASKS))
    dp3 = next(m for m in plain["methods"] if (m["method"], m["head"]) == ("dp3", "mlp"))
    own = [r for _, r in placed if (r.method, r.head, r.suite) == ("dp3", "mlp", "metaworld-15")]
    assert dp3["mean"] == pytest.approx(np.mean([r.retest.tally.rate for r in own]))
    assert dp3["by_seed"] and dp3["iqm_low"] <= dp3["iqm"] <= dp3["iqm_high"] and dp3["seeds"] == 3
    epoch, rate, low, high = dp3["epochs"]["mean"][0]
    assert epoch == 10 and low <= rate <= high
    assert rate == pytest.approx(np.mean([r.evaluations[0].tally.rate for r in own]))
    assert [p[0] for p in dp3["epochs"]["hammer"]] == list(range(10, 151, 10))
    heads = plain["heads"]
    assert heads["heads"] == ["bnmlp", "mlp"] and set(heads["methods"]) == set(RATES)
    (tau,) = heads["tau"]
    assert tau["methods"] == 4 and -1 <= tau["tau"] <= 1
    (curve,) = moved["cameras"]
    assert (curve["axis"], [p[0] for p in curve["points"]]) == ("azimuth", [-20, -10, 0, 10, 20])
    assert moved["heads"] is None


@pytest.mark.parametrize("change", [{"success_rule": "last-step"}, {"demo_hash": "others"}, {"horizon": 500}])
def test_what_was_made_under_other_conditions_is_in_no_mean_but_named_and_listed(
    change: dict[str, Any], tmp_path: Path
) -> None:
    placed = [place(one("reach", "dp3", seed=seed), tmp_path / "records") for seed in range(3)]
    before = facts.groups(placed)[0]["methods"]
    odd = dataclasses.replace(one("reach", "dp3", seed=3), identity_hash="odd", **change)
    (group,) = facts.groups([*placed, place(odd, tmp_path / "records")])
    assert group["methods"] == before and "reach/dp3/mlp-s3" in group["apart"][0]
    page = build([*placed, (tmp_path / "x.json", odd)], [], [], tmp_path / "r")
    assert "excluded because made under other" in page.read_text() and "reach/dp3/mlp-s3" in page.read_text()
    assert len(read_script(tmp_path / "r/assets/data.js")["cells"]) == 4, "its own page is there all the same"


def test_a_shift_file_of_another_record_is_said_and_not_shown(tmp_path: Path) -> None:
    path, record = place(one("reach", "dp3"), tmp_path)
    write_shifts(path, "another", record.selected_epoch, {"corner2": record.retest})
    found = facts.cell(record, path)
    assert not found["shifts"] and "belongs to another record" in found["damage"]


@pytest.mark.slow
def test_it_replaces_a_report_and_nothing_else(placed: list[tuple[Path, Record]], tmp_path: Path) -> None:
    to = tmp_path / "r"
    build(placed, [], [], to)
    build(placed[:2], [], [], to)
    assert len(list((to / "cells").iterdir())) == 2, "pages of records that are gone are gone"
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.tex").write_text("x")
    with pytest.raises(FileExistsError, match="something else"):
        build(placed, [], [], tmp_path / "mine")
    assert (tmp_path / "mine/thesis.tex").read_text() == "x"


@pytest.mark.slow
def test_nothing_in_it_comes_from_a_network(placed: list[tuple[Path, Record]], tmp_path: Path) -> None:
    build(placed, [TABLE], [], tmp_path)
    for file in [*tmp_path.glob("*.html"), *tmp_path.glob("assets/*")]:
        addresses = set(re.findall(r"(?:https?:)?//[a-z][\w.-]*\.[a-z]+", file.read_text()))
        assert addresses <= {"http://www.w3.org"}, (file, addresses)  # the name of SVG, which is never fetched


@pytest.mark.slow
def test_two_thousand_cells_cost_ten_times_two_hundred(tmp_path: Path) -> None:
    placed = [place(one("reach", "dp3", seed=seed), tmp_path / "records") for seed in range(50)]
    many = [(path, dataclasses.replace(r, task=f"task-{n}")) for n in range(40) for path, r in placed]
    seconds = []
    for count in (200, 2000):
        start = time.perf_counter()
        build(many[:count], [], [], tmp_path / f"r{count}")
        seconds.append(time.perf_counter() - start)
    assert len(list((tmp_path / "r2000/cells").iterdir())) == 2000
    assert seconds[1] < 25 * seconds[0], seconds


@pytest.mark.slow
@pytest.mark.skipif(
    not VALIDATOR.exists() or shutil.which("java") is None,
    reason="no validator: scripts/test_tools.sh brings the W3C's",
)
def test_the_validator_finds_nothing(placed: list[tuple[Path, Record]], tmp_path: Path) -> None:
    build(placed, [TABLE], ["left out"], tmp_path)
    pages = [str(tmp_path / name) for name in ("index.html", "cell.html")]
    done = subprocess.run(["java", "-jar", str(VALIDATOR), *pages], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


# -- the command -------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_committed_records(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["report", "--to", str(tmp_path / "r"), "--records", str(MEASURED), "--json"])
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    known = [r for _, r in read_all([MEASURED])]
    assert said["cells"] >= len(known) and said["left_out"] == []
    text = (tmp_path / "r/index.html").read_text()
    assert "CLAR Table I, success in %" in text and "82.6" in text


def test_what_is_damaged_is_named_and_the_others_are_shown(tmp_path: Path) -> None:
    path, _ = place(one("reach", "dp3"), tmp_path / "records")
    path.with_name("mlp-s1.json").write_text("{")
    done = CliRunner().invoke(app, ["report", "--to", str(tmp_path / "r"), "--records", str(tmp_path / "records")])
    why = "mlp-s1.json, because it is no record"
    assert done.exit_code == 0 and why in done.stdout and "1 cells" in done.stdout
    assert why in (tmp_path / "r/index.html").read_text()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--records", "nowhere"], "--records nowhere: no such folder"),
        (["--out", "nowhere"], "there is no folder nowhere/records"),
        (["--films", "no-such-cell"], "no cell is called so"),
        (["--to", str(MEASURED)], "something else than a report"),
    ],
)
def test_bad_questions(arguments: list[str], words: str, tmp_path: Path) -> None:
    own = [] if {"--records", "--out"} & set(arguments) else ["--records", str(MEASURED)]
    to = [] if "--to" in arguments else ["--to", str(tmp_path / "r")]
    done = CliRunner().invoke(app, ["report", *arguments, *own, *to])
    assert done.exit_code == 2 and words in done.output, done.output


# -- films -------------------------------------------------------------------------------------------------------------


def test_three_successes_and_three_failures_that_could_be_run() -> None:
    rows = [(i, int(i % 2 == 0), 50, None) for i in range(12)] + [(99, 0, 0, "died")]
    assert [(seed, won) for seed, won, *_ in chosen(rows)] == [(0, 1), (2, 1), (4, 1), (1, 0), (3, 0), (5, 0)]
    assert chosen([(1, 1, 5, None)]) == [(1, 1, 5, None)]


def test_a_packed_cloud_is_where_it_was() -> None:
    import base64

    points = np.random.default_rng(0).uniform(-1, 1, (30, 3)).astype(np.float32)
    found = packed(points, np.arange(30) < 20, "x")
    raw = np.frombuffer(base64.b64decode(found["points"]), "<u2").reshape(-1, 3) / 65535
    low, high = np.array(found["low"]), np.array(found["high"])
    np.testing.assert_allclose(low + raw * (high - low), points[:20], atol=2e-5)
    flat = packed(np.ones((3, 3), np.float32), np.ones(3, bool), "x")
    assert flat["low"] == flat["high"]


def test_a_cell_whose_actions_are_gone_is_named_and_the_others_go_on(tmp_path: Path) -> None:
    pytest.importorskip("av", reason="no PyAV")
    path, record = next((p, r) for p, r in read_all([MEASURED]) if isinstance(r, Record) and r.method == "dp3")
    copy = tmp_path / "mlp-s0.json"
    shutil.copy(path, copy)
    (said,) = film([(copy, record)], tmp_path / "media")
    assert said.startswith(f"no video of {record.task}/dp3: ") and "actions.npz" in said


@pytest.mark.gl
@pytest.mark.sim
@pytest.mark.slow
def test_a_measured_cell_is_filmed_as_it_was(tmp_path: Path) -> None:
    av = pytest.importorskip("av", reason="no PyAV")
    placed = [(path, r) for path, r in read_all([MEASURED]) if isinstance(r, Record)]
    cells = films_wanted(placed, ["reach/dp3"])[:1]
    path, record = cells[0]
    assert filmed(record, path, tmp_path) is None and film(cells, tmp_path) == []
    found = filmed(record, path, tmp_path)
    assert found is not None
    assert len(found["films"]) == 6 and len(found["clouds"]) == 2 and found["note"] == ""
    (tmp_path / found["films"][0]["file"]).touch()
    stamp = (tmp_path / found["films"][0]["file"]).stat().st_mtime_ns
    assert film(cells, tmp_path) == [] and (tmp_path / found["films"][0]["file"]).stat().st_mtime_ns == stamp
    steps = {row[0]: row[2] for row in cells[0][1].retest.episodes}
    for one_film in found["films"]:
        with av.open(str(tmp_path / one_film["file"])) as video:
            (stream,) = video.streams.video
            assert (stream.codec_context.name, stream.width, stream.height) == ("h264", 224, 224)
            seed = int(one_film["file"].rpartition("-")[2].removesuffix(".mp4"))
            assert sum(1 for _ in video.decode(stream)) == steps[seed] + 1 + 20


@pytest.mark.parametrize("name", ["index", "cell", "phone"])
def test_the_docs_show_the_page_as_it_is(name: str) -> None:
    """`python scripts/screenshots.py` takes them anew."""
    spec = importlib.util.spec_from_file_location("screenshots", MEASURED.parents[1] / "scripts/screenshots.py")
    assert spec is not None and spec.loader is not None
    screenshots = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(screenshots)
    with Image.open(MEASURED.parents[1] / f"docs/report-{name}.png") as shown:
        assert shown.text[screenshots.KEY] == screenshots.assets_hash()  # type: ignore[attr-defined]
