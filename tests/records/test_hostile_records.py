"""Thousands of hostile files: each is a record, or is skipped for a reason in one line; none raises, none hangs."""

from __future__ import annotations

import contextlib
import copy
import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmark.records.further_episodes import further_actions, further_path, read_further
from benchmark.records.gather import MEASURED, gather
from benchmark.records.joint_tasks import by_task
from benchmark.records.read import UNCHECKABLE, BadRecord, read, read_all
from benchmark.records.record import Record
from benchmark.records.shifted_retests import read_shifts, shifts_path
from benchmark.report import export
from benchmark.report.comparisons.comparable import comparable
from benchmark.report.comparisons.compare import NothingInCommon, compare
from benchmark.report.comparisons.seed_spreads import spreads
from benchmark.report.page import facts
from benchmark.report.tables.clar_1 import cells_table, clar_table_1
from benchmark.report.tables.forms import FORMATS, render
from benchmark.settings.load import load_settings
from tests.records.test_migrate import schema_1

pytestmark = pytest.mark.slow

PLACE = Path("clar/metaworld-15/reach/dp3/mlp-s0.json")
NOW = json.loads((MEASURED / PLACE).read_text())
SAMPLES = (NOW, schema_1(MEASURED / PLACE))
NEIGHBOUR = read(MEASURED / "clar/metaworld-15/hammer/dp3/mlp-s0.json")
SUITE = load_settings("metaworld-15", "clar", "mlp").suite

HOSTILE = st.one_of(
    st.sampled_from(
        [
            None,
            True,
            False,
            0,
            1,
            -1,
            2,
            3,
            10**12,
            10**400,
            -(10**30),
            0.5,
            float("nan"),
            float("inf"),
            -0.0,
            1e308,
            "",
            " ",
            "a",
            "clar",
            "../../x",
            "/etc/passwd",
            "a/b",
            "a\nb",
            "\x1b[2J",
            "\ud800",
            "‮abc",
            "=1+1",
            "💥",
            "x" * 5_000,
            "%s{0}",
            "<script>",
            "nan",
            "random",
            [],
            [[]],
            {},
            {"": None},
            [None] * 3,
            {"k": 1},
        ]
    ),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
        max_leaves=6,
    ),
)


def places(data: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where something stands, of long lists only the first and the last."""
    found = [path] if path else []
    if isinstance(data, dict):
        keys = list(data)
    elif isinstance(data, list):
        keys = sorted({0, len(data) - 1}) if data else []
    else:
        keys = []
    return found + [place for key in keys for place in places(data[key], (*path, key))]


TEXTS = [json.dumps(sample) for sample in SAMPLES]
PLACES = [places(sample) for sample in SAMPLES]


def change(data: Any, path: tuple[Any, ...], how: str, value: Any) -> None:
    for key in path[:-1]:
        data = data[key]
    if how == "put":
        data[path[-1]] = copy.deepcopy(value)  # another change may reach into it, and would change every later example
    elif how == "drop":
        del data[path[-1]]
    elif isinstance(data, dict):
        data[str(value)[:20]] = data[path[-1]]
    else:
        data.append(data[path[-1]])


CHANGES = st.integers(0, 1).flatmap(
    lambda which: st.tuples(
        st.just(which),
        st.lists(
            st.tuples(st.sampled_from(PLACES[which]), st.sampled_from(["put", "put", "put", "drop", "more"]), HOSTILE),
            min_size=1,
            max_size=3,
        ),
    )
)
"""One to three things in a record of today's schema or of schema 1, changed, taken away or put elsewhere."""


def changed(which: int, changes: list[tuple[Any, str, Any]]) -> str:
    data = json.loads(TEXTS[which])  # faster than a copy
    for path, how, value in changes:
        try:
            change(data, path, how, value)
        except (KeyError, IndexError, TypeError, AttributeError):
            continue  # what it would have changed was changed before
    return json.dumps(data)  # lone surrogates as \ud800, NaN as NaN


def use(path: Path, record: Record) -> None:
    """What every verb does with a record that was read."""
    for one in by_task(record):
        kept, _ = comparable([one, NEIGHBOUR])
        for form in FORMATS:
            render(cells_table([one]), form, 40)
        clar_table_1([one, NEIGHBOUR], SUITE, "clar")
        json.dumps(export.leaderboard(export.rows([one])), allow_nan=False)
        json.dumps([facts.cell(one, path), facts.groups([(path, one)])])
        spreads(kept)
        with contextlib.suppress(NothingInCommon):
            compare([one, NEIGHBOUR], [one.method, "state"], one.head)
        str(read_shifts(path, one))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    shared = Path("/dev/shm")
    root = tmp_path_factory.mktemp("hostile")
    if shared.is_dir() and os.access(shared, os.W_OK):
        root = Path(os.path.realpath(shared)) / f"hostile-{os.getpid()}"
    (root / PLACE).parent.mkdir(parents=True, exist_ok=True)
    return root


accepted: list[int] = []


@settings(max_examples=2_000, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(made=CHANGES)
def test_a_hostile_record_is_read_or_skipped(folder: Path, made: Any) -> None:
    path = folder / PLACE
    path.write_text(changed(*made))
    ((_, found),) = read_all([folder])
    if isinstance(found, BadRecord):
        assert found.reason and "\n" not in found.reason, found.reason
        assert UNCHECKABLE not in found.reason, found.reason
        return
    accepted.append(1)
    use(path, found)


def test_some_of_them_were_records() -> None:
    """Else nothing behind the reader was tried. Of 3,000 it was 237, 203 and once fewer."""
    assert len(accepted) > 70, len(accepted)


@settings(max_examples=300, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(
    content=st.binary(max_size=200)
    | st.text(max_size=200).map(str.encode)
    | st.sampled_from(
        [
            b"",
            b"[" * 100_000,
            b'{"a":' * 50_000,
            b"\xff\xfe",
            b"null",
            b"[]",
            b"1",
            b'"x"',
            b"NaN",
            b"1" * 5000,
            b'{"schema": 2}',
            b'{"schema": 1}',
            b'{"schema": [1]}',
            b'{"schema": NaN}',
            b'{"schema": 2, "schema": 1}',
        ]
    )
)
def test_any_bytes_are_skipped_with_a_reason(folder: Path, content: bytes) -> None:
    path = folder / PLACE
    path.write_bytes(content)
    ((_, found),) = read_all([folder])
    assert isinstance(found, BadRecord) and "\n" not in found.reason


def test_what_is_no_file_is_skipped_and_links_are_followed(tmp_path: Path) -> None:
    records = tmp_path / "records"
    folder = (records / PLACE).parent
    folder.mkdir(parents=True)
    os.mkfifo(folder / "pipe.json")
    (folder / "folder.json").mkdir()
    (folder / "nowhere.json").symlink_to("/nothing/there")
    (folder / "circle.json").symlink_to("circle.json")
    (folder / "large.json").touch()
    os.truncate(folder / "large.json", 40 * 2**30)
    (records / "again").symlink_to(records)
    (records / "elsewhere").symlink_to(tmp_path / "moved")
    moved = tmp_path / "moved" / PLACE
    moved.parent.mkdir(parents=True)
    moved.write_text((MEASURED / PLACE).read_text())
    found, notes = gather([records], tmp_path)
    assert [path.relative_to(records / "elsewhere") for path, _ in found] == [PLACE]
    said = {note.partition(", because ")[0].rpartition("/")[2]: note.partition(", because ")[2] for note in notes}
    assert said == {
        "pipe.json": "it is no record: it is no regular file",
        "folder.json": "it is no record: it is a folder",
        "nowhere.json": "it is no record: it is a link that leads nowhere",
        "circle.json": "it is no record: it cannot be read (Too many levels of symbolic links)",
        "large.json": "it is no record: it has 42,949,672,960 bytes; more than 67,108,864 are not read",
    }


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_folder_that_cannot_be_looked_into_is_named(tmp_path: Path) -> None:
    closed = tmp_path / "clar"
    closed.mkdir()
    closed.chmod(stat.S_IWUSR)
    _, notes = gather([tmp_path], tmp_path)
    closed.chmod(0o755)
    assert "cannot be looked into" in notes[0]


@settings(max_examples=1_000, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_hostile_files_beside_a_record(folder: Path, data: st.DataObject) -> None:
    path = folder / PLACE
    record = read(MEASURED / PLACE)
    evaluation = NOW["retest"]
    shifts = {"identity_hash": record.identity_hash, "epoch": record.selected_epoch, "cameras": {"corner2": evaluation}}
    further = {"identity_hash": record.identity_hash, "evaluation": copy.deepcopy(evaluation)}
    further_actions(path).write_bytes(data.draw(st.binary(max_size=64)))
    for sample, file in ((shifts, shifts_path(path)), (further, further_path(path))):
        hostile_ = copy.deepcopy(sample)
        change(hostile_, data.draw(st.sampled_from(places(sample))), "put", data.draw(HOSTILE))
        file.write_text(json.dumps(hostile_))
    for take in (read_shifts, read_further):
        with contextlib.suppress(BadRecord):
            take(path, record)
    for file in (shifts_path(path), further_path(path), further_actions(path)):
        file.unlink()
