"""--overwrite keeps the old record, and what lies beside it, until the new one is whole."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from benchmark.experiment import cell_record, cell_run, replace_record, retest_shifted
from benchmark.experiment.cell import Cell
from benchmark.experiment.finished_cell import play_further
from benchmark.experiment.make_cells import make_cells
from benchmark.experiment.run_cell import run_cell
from benchmark.records.further_episodes import further_path
from benchmark.records.paths import Paths
from benchmark.records.read import read, read_all
from benchmark.records.shifted_retests import read_shifts
from benchmark.settings.settings import Settings
from benchmark.system.files import StorageError, write_json

pytestmark = pytest.mark.slow


class Killed(BaseException):
    pass


@pytest.fixture
def finished(tmp_path: Path, toy_settings: Settings) -> tuple[Cell, Paths]:
    (cell,) = make_cells(toy_settings, ["near"], ["state"], [0])
    paths = Paths(tmp_path / "runs", tmp_path / "data")
    run_cell(cell, paths, "first")
    return cell, paths


def beside(cell: Cell, paths: Paths) -> dict[str, bytes]:
    folder = cell.record(paths).parent
    return {f.name: f.read_bytes() for f in folder.rglob("*") if f.is_file()}


def kill(*_: Any, **__: Any) -> None:
    raise Killed


@pytest.mark.parametrize("where", ["CellRun._train_and_evaluate", "CellRun._retest", "leave_record"])
def test_killed_anywhere_the_old_record_is_whole_and_the_same_command_goes_on(
    finished: tuple[Cell, Paths], monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    cell, paths = finished
    old = beside(cell, paths)
    with monkeypatch.context() as patch:
        patch.setattr(f"{cell_run.__name__}.{where}", kill)
        with pytest.raises(Killed):
            run_cell(cell, paths, "second", overwrite=True)
    assert beside(cell, paths) == old
    assert read(cell.record(paths)).provenance["command"] == "first"
    record, computed = run_cell(cell, paths, "third")
    assert computed and record.provenance["command"] == "third"
    assert read(cell.record(paths)).provenance["command"] == "third"
    again, computed = run_cell(cell, paths, "fourth")
    assert not computed and again.provenance["command"] == "third"


@pytest.mark.parametrize("moves", [1, 2, 3])
def test_killed_while_it_is_put_in_place_it_goes_on(
    finished: tuple[Cell, Paths], monkeypatch: pytest.MonkeyPatch, moves: int
) -> None:
    """Before the first, the second and the last move, which is the record's own."""
    cell, paths = finished
    moved: list[Path] = []
    replace = Path.replace

    def dies(self: Path, target: Any) -> Path:
        moved.append(self)
        if len(moved) == moves:
            raise Killed
        return replace(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", dies)
        with pytest.raises(Killed):
            run_cell(cell, paths, "second", overwrite=True)
    assert read(cell.record(paths)).provenance["command"] == "first"
    record, _ = run_cell(cell, paths, "third")
    assert record.provenance["command"] == "third" and not (cell.work(paths) / replace_record.REPLACES).exists()
    assert [path for path, _ in read_all([paths.records])] == [cell.record(paths)], "nothing else looks like a record"


def test_killed_after_the_record_is_in_its_place_it_is_there(
    finished: tuple[Cell, Paths], monkeypatch: pytest.MonkeyPatch
) -> None:
    cell, paths = finished
    with monkeypatch.context() as patch:
        patch.setattr(replace_record, "discard", kill)  # what is done once the record is in its place
        patch.setattr("benchmark.experiment.run_cell.begin_again", _begin_again)
        with pytest.raises(Killed):
            run_cell(cell, paths, "second", overwrite=True)
    record, computed = run_cell(cell, paths, "third")
    assert not computed and record.provenance["command"] == "second", "it is not played a second time"


def _begin_again(work: Path, record: Path) -> None:
    for file in work.glob("epoch-*.pt"):
        file.unlink()
    (work / "progress.json").unlink()
    write_json(work / replace_record.REPLACES, hashlib.sha256(record.read_bytes()).hexdigest())


def test_shifts_that_were_played_before_a_kill_are_not_played_again(
    toy_settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (cell,) = make_cells(toy_settings, ["near"], ["state"], [0])
    paths = Paths(tmp_path / "runs", tmp_path / "data")
    with monkeypatch.context() as patch:
        patch.setattr(cell_record, "publish", kill)
        with pytest.raises(Killed):
            run_cell(cell, paths, "x", shifts=("front",))
    monkeypatch.setattr(retest_shifted, "played_under", kill)
    record, _ = run_cell(cell, paths, "x", shifts=("front",))
    assert set(read_shifts(cell.record(paths), record)) == {"front"}


def test_a_full_disk_leaves_the_old_record(finished: tuple[Cell, Paths], monkeypatch: pytest.MonkeyPatch) -> None:
    cell, paths = finished
    old = beside(cell, paths)

    def full(*_: Any, **__: Any) -> None:
        raise StorageError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(cell_record, "plot_cell", full)
        with pytest.raises(StorageError):
            run_cell(cell, paths, "second", overwrite=True)
    assert beside(cell, paths) == old


def test_what_belonged_to_the_old_record_goes_with_it(finished: tuple[Cell, Paths]) -> None:
    cell, paths = finished
    play_further(cell, paths, "x", 2)
    assert further_path(cell.record(paths)).exists()
    run_cell(cell, paths, "second", overwrite=True)
    assert not further_path(cell.record(paths)).exists()
    assert not list(cell.record(paths).parent.glob(".*"))


def test_work_that_was_begun_under_other_settings_does_not_hide_the_record(
    finished: tuple[Cell, Paths], monkeypatch: pytest.MonkeyPatch
) -> None:
    """--overwrite after an edit, killed, and the edit undone: the record is of these settings and is there."""
    cell, paths = finished
    with monkeypatch.context() as patch:
        patch.setattr(cell_run.CellRun, "_retest", kill)
        with pytest.raises(Killed):
            run_cell(cell, paths, "second", overwrite=True)
    (cell.work(paths) / "identity.json").write_text('{"another": "identity"}')
    record, computed = run_cell(cell, paths, "third")
    assert not computed and record.provenance["command"] == "first"
