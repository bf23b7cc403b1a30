"""Difference in difference: who loses less under a shift."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from benchmark.cli.main import app
from benchmark.records.joint_tasks import of_rows
from benchmark.records.paths import record_path
from benchmark.records.record import Record
from benchmark.records.shifted_retests import write_shifts
from benchmark.records.write import write
from benchmark.report.comparisons.compare import NothingInCommon
from benchmark.report.comparisons.compare_shifts import compare_shift
from benchmark.report.statistics.crossed import Scope, contrast
from benchmark.report.statistics.one_seed import ONE_SEED
from tests.made_records import agreeing
from tests.report.test_tables import record


def cell(
    root: Path, method: str, task: str, plain: np.ndarray, shifted: np.ndarray | None, seed: int = 0
) -> tuple[Path, Record]:
    made = record(task, method, (1, 1, 1), suite="metaworld-perspective", seed=seed)
    made = agreeing(dataclasses.replace(made, retest=of_rows(10, [(0, int(w), 50, None) for w in plain])))
    path = record_path(root, "clar", "metaworld-perspective", task, method, "mlp", seed)
    write(made, path)
    if shifted is not None:
        rows = zip(made.retest.episodes, shifted, strict=True)
        moved = of_rows(10, [(seed, int(w), 50 if w else made.horizon, None) for (seed, *_), w in rows])
        write_shifts(path, made.identity_hash, 10, {"corner2": moved})
    return path, made


def first(count: int) -> np.ndarray:
    return np.arange(100) < count


@pytest.mark.slow
def test_the_drops_and_their_difference(tmp_path: Path) -> None:
    placed = [
        cell(tmp_path, "dp3", "reach", first(80), first(70)),
        cell(tmp_path, "pointnet", "reach", first(80), first(30)),
        cell(tmp_path, "dp3", "box-close", first(60), first(60)),
        cell(tmp_path, "pointnet", "box-close", first(60), first(40)),
    ]
    ((one,), notes) = compare_shift(placed, ["dp3", "pointnet"], "mlp", "corner2")
    assert (one.first_drop, one.second_drop) == pytest.approx((0.05, 0.35)) and not notes
    answer = one.these_checkpoints
    assert answer.difference == pytest.approx(-0.30) and answer.low < -0.30 < answer.high < 0
    assert one.methods_retrained is None and one.why_not_methods == ONE_SEED
    assert one.episodes == 200 and one.tasks == ("box-close", "reach")
    words = ["compare", "dp3", "pointnet", "--suite", "metaworld-perspective", "--records", str(tmp_path)]
    done = CliRunner().invoke(app, [*words, "--shift", "corner2"])
    assert done.exit_code == 0 and "-30.0" in done.stdout and ONE_SEED in done.stdout
    done = CliRunner().invoke(app, [*words, "--shift", "corner3"])
    assert done.exit_code == 2 and "retested under corner3" in done.output


def test_without_both_there_is_nothing_to_compare(tmp_path: Path) -> None:
    placed = [
        cell(tmp_path, "dp3", "reach", first(80), first(70)),
        cell(tmp_path, "pointnet", "reach", first(80), None),
    ]
    with pytest.raises(NothingInCommon, match="retested under corner2"):
        compare_shift(placed, ["dp3", "pointnet"], "mlp", "corner2")


def test_seeds_answer_about_the_methods(tmp_path: Path) -> None:
    """Seeds of the first lose 10 points or a little more, seeds of the second 30."""
    placed = [
        cell(tmp_path, method, "reach", first(80 + seed), first(80 - lost - seed), seed)
        for method, lost in (("dp3", 10), ("pointnet", 30))
        for seed in range(3)
    ]
    ((one,), notes) = compare_shift(placed, ["dp3", "pointnet"], "mlp", "corner2")
    assert one.these_checkpoints.difference == pytest.approx(-0.2) and one.first_seeds == {"reach": (0, 1, 2)}
    assert one.methods_retrained is not None and one.methods_retrained.high < 0
    assert one.methods_retrained.low <= one.these_checkpoints.low
    assert any(note.startswith("drop of pointnet: s0 30.0, s1 32.0") for note in notes)


@pytest.mark.slow
@pytest.mark.parametrize("tasks", [1, 3, 15])
@pytest.mark.parametrize("rates", [(0.8, 0.6, 0.8, 0.3), (0.95, 0.9, 0.5, 0.45), (0.6, 0.6, 0.6, 0.6)])
def test_the_interval_about_checkpoints_covers(tasks: int, rates: tuple[float, ...]) -> None:
    """Episodes of one seed are alike under all four: each is hard or easy for everybody, by a shared draw."""
    draw = np.random.default_rng(tasks)
    limits = np.quantile(MIXED, rates)
    truth = (rates[0] - rates[1]) - (rates[2] - rates[3])
    ease = 0.5 * draw.random((2_000, tasks, 100, 1)) + 0.5 * draw.random((2_000, tasks, 100, 4))
    won = (ease < limits).astype(int)
    drops = [[won[:, t, None, :, i] - won[:, t, None, :, i + 1] for t in range(tasks)] for i in (0, 2)]
    found = contrast(drops, [1, -1], Scope.PER_TASK)
    inside = np.abs(found.estimate - truth) <= found.of_checkpoints()
    assert inside.mean() == pytest.approx(0.95, abs=0.02)


MIXED = 0.5 * np.random.default_rng(0).random(1_000_000) + 0.5 * np.random.default_rng(1).random(1_000_000)
