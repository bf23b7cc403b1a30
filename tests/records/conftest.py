"""A record that was really made, and copies of it to be forged."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pytest

from benchmark.experiment.cell import Cell
from benchmark.experiment.make_cells import make_cells
from benchmark.experiment.run_cell import run_cell
from benchmark.records.paths import Paths
from benchmark.settings.settings import Settings


@pytest.fixture(scope="package")
def original(tmp_path_factory: pytest.TempPathFactory, toy_settings_once: Settings) -> tuple[Cell, Path]:
    """A cell that was run, with some failures and some successes, and the actions of all evaluations."""
    root = tmp_path_factory.mktemp("original")
    settings = dataclasses.replace(
        toy_settings_once, runtime=dataclasses.replace(toy_settings_once.runtime, keep_actions="all")
    )
    (cell,) = make_cells(settings, ["far"], ["state"], [0])
    paths = Paths(root / "runs", root / "data")
    record, _ = run_cell(cell, paths, "bench run")
    assert 0 < record.retest.tally.k < record.retest.tally.n, "tests need failures and successes"
    return cell, cell.record(paths)


@pytest.fixture
def file(original: tuple[Cell, Path], tmp_path: Path) -> Path:
    """A copy of the record, with what lies beside it."""
    folder = tmp_path / "records" / original[1].relative_to(original[1].parents[4]).parent
    shutil.copytree(original[1].parent, folder)
    return folder / original[1].name
