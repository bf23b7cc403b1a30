"""The same checkpoint and episodes under other cameras."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
from pathlib import Path

import pytest

from benchmark.experiment.retest_shifted import moved_cameras
from benchmark.records.read import BadRecord, read, read_all
from benchmark.records.record import Evaluation, Record, Tally
from benchmark.records.shifted_retests import read_shifts, shifted_cameras, shifts_path, write_shifts
from benchmark.report.plots import shift_curves
from benchmark.report.tables.clar_4 import clar_table_4
from benchmark.report.tables.forms import FORMATS, render
from benchmark.report.tables.measured_cells import MISSING
from benchmark.settings.load import load_settings
from benchmark.system.errors import ConfigError
from envs.errors import SpecMismatch
from tests.made_records import agreeing
from tests.report.test_tables import GOLDEN, record
from tests.test_cli import here


def test_a_range_becomes_cameras_with_both_ends_and_without_a_name_for_nothing() -> None:
    assert shifted_cameras("azimuth=-20:20:10", "corner") == [
        "corner@azimuth=-20",
        "corner@azimuth=-10",
        "corner",
        "corner@azimuth=10",
        "corner@azimuth=20",
    ]
    assert shifted_cameras("azimuth=0:10:10,elevation=0:5:5", "c") == ["c", "c@azimuth=10", "c@elevation=5"]
    assert shifted_cameras("distance=0.8:1.2:0.2", "c") == ["c@distance=0.8", "c", "c@distance=1.2"]
    assert shifted_cameras("azimuth=15", "c") == ["c@azimuth=15"]


@pytest.mark.parametrize(
    "text",
    [
        "roll=3",
        "azimuth",
        "azimuth=",
        "azimuth=1:2",
        "azimuth=2:1:1",
        "azimuth=0:9:0",
        "azimuth=0:9:-1",
        "azimuth=a:b:c",
        "azimuth=0:9999:1",
    ],
)
def test_bad_ranges_are_named(text: str) -> None:
    with pytest.raises(ConfigError, match="--shift"):
        shifted_cameras(text, "corner")


def test_the_suite_is_the_papers() -> None:
    suite = load_settings("metaworld-perspective", "clar", "mlp").suite
    assert suite.task_names == ["button-press", "reach", "box-close"] and suite.shift == ("corner2",)
    assert suite.observation["cameras"] == ["corner"]
    same = load_settings("metaworld-15", "clar", "mlp").suite.observation
    assert suite.observation == same, "other conditions remain consistent with the benchmark experiments (IV-E)"
    with pytest.raises(SpecMismatch, match="distance must be positive"):
        moved_cameras(load_settings("metaworld-15", "clar", "mlp"), "distance=-1")
    assert moved_cameras(load_settings("metaworld-15", "clar", "mlp"), None) == ()
    with pytest.raises(SpecMismatch, match="less than 90 degrees"):
        moved_cameras(load_settings("metaworld-15", "clar", "mlp"), "elevation=200")


FEW = [
    "protocol.epochs=2",
    "protocol.evaluate_every=2",
    "protocol.rollouts=2",
    "protocol.retest_rollouts=3",
    "protocol.train_demos=3",
    "protocol.valid_demos=0",
    "protocol.horizon=60",
    "suite.observation.height=64",  # most of the seconds are pixels
    "suite.observation.width=64",
    "runtime.workers=1",
]


def bench(*arguments: str, cwd: Path, rc: int = 0) -> str:
    with contextlib.chdir(cwd):
        code, out, err = here(*arguments)
    assert code == rc, err[-2000:]
    return out + err


@pytest.mark.gl
@pytest.mark.sim
@pytest.mark.slow
def test_from_nothing_to_the_curve(tmp_path: Path) -> None:
    words = [
        "run",
        "--suite",
        "metaworld-perspective",
        "--tasks",
        "reach",
        "--method",
        "dp3",
        "--protocol",
        "quick",
        *FEW,
    ]
    bench(*words, cwd=tmp_path)
    audit = ["audit", "--records", "runs/records", "--workers", "1"]
    path = next((tmp_path / "runs/records").iterdir()) / "metaworld-perspective/reach/dp3/mlp-s0.json"
    record = read(path)
    first = read_shifts(path, record)
    assert list(first) == ["corner2"]
    assert [row[0] for row in first["corner2"].episodes] == [row[0] for row in record.retest.episodes], (
        "the same episodes"
    )
    assert path.with_name("mlp-s0.corner2.actions.npz").exists()
    assert "Audit: 1 holds" in bench(*audit, cwd=tmp_path)
    stamp = path.stat().st_mtime_ns
    bench(*words, "--shift", "azimuth=-10:0:10,elevation=89", cwd=tmp_path)
    found = read_shifts(path, record)
    assert set(found) == {"corner2", "corner", "corner@azimuth=-10", "corner@elevation=89"}
    over = found["corner@elevation=89"]
    assert (over.tally.n, over.tally.errors) == (0, 3), "a view that cannot be had is an error, not a failure"
    assert "would turn the camera over" in str(over.episodes[0][3])
    assert found["corner"].episodes == record.retest.episodes, "a shift of nothing is the retest itself"
    assert path.stat().st_mtime_ns == stamp, "the record stays as it is"
    assert path.with_suffix(".shifts.png").stat().st_size > 5000
    assert [type(r) for _, r in read_all([tmp_path / "runs/records"])] == [Record]
    assert "Audit: 1 holds" in bench(*audit, cwd=tmp_path), "of no episode is no number"
    table = bench("table", "4", "--protocol", record.protocol, "--records", "runs/records", cwd=tmp_path)
    assert "† 1/3" in table
    (tmp_path / "runs/work").rename(tmp_path / "runs/elsewhere")
    gone = bench(*words, "--shift", "elevation=5", cwd=tmp_path, rc=1)
    assert "is gone" in gone and "--overwrite" in gone
    data = json.loads(shifts_path(path).read_text())
    shifts_path(path).write_text(json.dumps({**data, "identity_hash": "other"}))
    with pytest.raises(BadRecord, match="belongs to another record"):
        read_shifts(path, record)


def retests(record: Record, successes: int) -> Evaluation:
    rows = tuple(
        (seed, int(i < successes), 50 if i < successes else record.horizon, None)
        for i, (seed, *_) in enumerate(record.retest.episodes)
    )
    return Evaluation(record.selected_epoch, Tally(successes, len(rows), 0), rows)


def placed(tmp_path: Path, task: str, method: str, normal: int, shifted: int | None) -> tuple[Path, Record]:
    one = record(task, method, (20, normal, 15))
    rows = tuple((1000 + i, int(i < normal), 50, None) for i in range(100))
    retest = Evaluation(10, Tally(normal, 100, 0), rows)
    one = dataclasses.replace(one, suite="metaworld-perspective", retest=retest)
    one = agreeing(one, batch_size={"2d": 16, "3d": 16})  # equally many steps of training, so nothing to note
    path = tmp_path / f"{task}-{method}.json"
    if shifted is not None:
        write_shifts(path, one.identity_hash, one.selected_epoch, {"corner2": retests(one, shifted)})
    return path, one


@pytest.mark.parametrize("form", FORMATS)
def test_table_4_is_the_golden_one(form: str, tmp_path: Path) -> None:
    suite = load_settings("metaworld-perspective", "clar", "mlp").suite
    found = [placed(tmp_path, task, "clip", 60, 20 + i) for i, task in enumerate(suite.task_names)]
    found += [placed(tmp_path, "reach", "dp3", 79, 77), placed(tmp_path, "box-close", "dp3", 76, None)]
    table, _ = clar_table_4(found, suite, "clar")
    golden = GOLDEN / f"clar-table-4.{form}"
    text = render(table, form, 130)
    if os.environ.get("REGENERATE_GOLDEN"):
        golden.write_text(text)
    assert text == golden.read_text()
    reach = next(row for row in table.rows if row[0] == "dp3, mlp" and row[1] == "drop")
    assert reach[3].startswith("+2.0 [") and reach[4] == MISSING


def test_curves_have_the_unmoved_camera_in_their_middle() -> None:
    one = record("reach", "dp3", (20, 79, 15))
    names = [
        "corner2",
        "corner",
        "corner@azimuth=-10",
        "corner@azimuth=10",
        "corner@distance=1.2",
        "corner@azimuth=5,elevation=5",
    ]
    curves = shift_curves(one, {name: retests(one, 0) for name in names})
    assert {key: [value for value, _ in points] for key, points in curves.items()} == {
        ("corner", "azimuth"): [-10, 0, 10],
        ("corner", "distance"): [1.0, 1.2],
    }
    assert curves["corner", "azimuth"][1][1] == one.retest.tally
