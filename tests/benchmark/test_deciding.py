"""Two methods play on until the evidence decides."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmark import deciding, seeds
from benchmark.cell import Cell, Paths, make_cells
from benchmark.config import load_settings
from benchmark.deciding import finished_cells, until_decided
from benchmark.errors import ConfigError
from benchmark.report.audit import audit
from benchmark.report.further import further_path, read_further, write_further
from benchmark.report.record import BadRecord, Evaluation, Record, Tally, read, read_all, write
from tests.benchmark.test_tables import record

SETTINGS = load_settings("metaworld-15", "quick", "mlp")
RATES = {"dp3": 0.9, "proprio-only": 0.3}


def outcomes(method: str, task: str, first: int, count: int) -> Evaluation:
    """Retest episodes `first` to `first + count`, of a policy with the method's rate."""
    chosen = seeds.retest_seeds("metaworld-15", task, first + count)[first:]
    rows = tuple((s, int(np.random.default_rng([s, len(method)]).random() < RATES[method]), 50, None) for s in chosen)
    return Evaluation(10, Tally(sum(row[1] for row in rows), count, 0), rows)


@pytest.fixture
def played(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Paths, list[Cell], list[Cell]]:
    paths = Paths(tmp_path / "runs", tmp_path / "data")
    cells = {m: make_cells(SETTINGS, ["reach", "hammer"], [m], [0]) for m in RATES}
    for method, own in cells.items():
        for cell in own:
            one = dataclasses.replace(
                record(cell.task, method, (1, 1, 1)), protocol="quick", identity=cell.identity(),
                identity_hash=cell.identity_hash(), retest=outcomes(method, cell.task, 0, 5),
            )  # fmt: skip
            write(one, cell.record(paths))

    def further(cell: Cell, paths: Paths, command: str, count: int) -> None:
        path = cell.record(paths)
        write_further(path, read(path), outcomes(cell.method_name, cell.task, 5, count))

    monkeypatch.setattr(deciding, "play_further", further)
    return paths, cells["dp3"], cells["proprio-only"]


def test_they_stop_when_it_is_decided_and_say_what_was_saved(played: tuple[Paths, list[Cell], list[Cell]]) -> None:
    paths, first, second = played
    said: list[str] = []
    found = until_decided(first, second, paths, 0.001, 5, 100, "bench", said.append)
    assert found.better == "dp3" and found.e >= 1000 == found.needed
    each = found.played // 4
    assert 0 < each < 100 and each % 5 == 0
    assert found.saved == 4 * (100 - each) and found.episodes == 2 * (5 + each)
    assert len(said) == each // 5 + 1
    again = until_decided(first, second, paths, 0.001, 5, 100, "bench", said.append)
    assert again == found and len(said) == each // 5 + 2, "what was played counts; nothing more is needed"
    swapped = until_decided(second, first, paths, 0.001, 5, 100, "bench", said.append)
    assert swapped.better == "dp3" and swapped.e == pytest.approx(found.e)


def test_checkpoints_of_one_method_share_an_episode_and_are_one_piece_of_evidence(
    played: tuple[Paths, list[Cell], list[Cell]],
) -> None:
    """The same policy under five seeds is not five times the evidence; seeds of two methods need not be the same."""
    paths, first, second = played
    one = until_decided(first, second, paths, 1e-9, 5, 5, "bench", lambda _: None)
    assert one.question == "these checkpoints"
    again = list(first)
    for seed in range(1, 5):
        for cell, here in zip(make_cells(SETTINGS, ["reach", "hammer"], ["dp3"], [seed]), first, strict=True):
            copy = dataclasses.replace(read(here.record(paths)), seed=seed, identity_hash=cell.identity_hash())
            write(copy, cell.record(paths))
            write_further(cell.record(paths), copy, outcomes("dp3", cell.task, 5, 5))
            again.append(cell)
    several = until_decided(again, second, paths, 1e-9, 5, 5, "bench", lambda _: None)
    assert several.e == pytest.approx(one.e) and several.episodes == one.episodes == 2 * 10
    assert several.played == (10 + 2) * 5


def test_equal_methods_are_left_undecided_at_the_limit(
    played: tuple[Paths, list[Cell], list[Cell]], monkeypatch: pytest.MonkeyPatch
) -> None:
    paths, first, second = played
    monkeypatch.setitem(RATES, "dp3", 0.3)
    for cell in first:
        write(
            dataclasses.replace(read(cell.record(paths)), retest=outcomes("dp3", cell.task, 0, 5)), cell.record(paths)
        )
    found = until_decided(first, second, paths, 0.05, 20, 50, "bench", lambda _: None)
    assert found.better is None and found.played == 4 * 50 and found.saved == 0
    assert found.episodes == 2 * 55, "the last batch is cut at the limit"


def test_only_cells_that_are_here_can_play_on(played: tuple[Paths, list[Cell], list[Cell]], tmp_path: Path) -> None:
    paths, *_ = played
    placed = [(path, one) for path, one in read_all([paths.records]) if isinstance(one, Record)]
    found = finished_cells(SETTINGS, placed, "dp3", None, paths)
    assert sorted(found) == [("hammer", 0), ("reach", 0)]
    with pytest.raises(ConfigError, match="no finished cell of dp3 under"):
        finished_cells(SETTINGS, placed, "dp3", None, Paths(tmp_path / "elsewhere", tmp_path))
    changed = load_settings("metaworld-15", "quick", "mlp", ["protocol.epochs=20"])
    with pytest.raises(ConfigError, match="no finished cell of dp3 under"):
        finished_cells(changed, placed, "dp3", None, paths)
    unknown = [(path, dataclasses.replace(one, method="mine")) for path, one in placed]
    with pytest.raises(ConfigError, match="mine is no registered method, .* give path/to/file.py:Class"):
        finished_cells(SETTINGS, unknown, "mine", None, paths)
    mine = [(path, dataclasses.replace(one, method="clar+weights=mine")) for path, one in placed]
    with pytest.raises(ConfigError, match="give the file with --weights"):
        finished_cells(SETTINGS, mine, "clar+weights=mine", None, paths)


def test_further_episodes_belong_to_their_record(played: tuple[Paths, list[Cell], list[Cell]]) -> None:
    paths, first, _ = played
    path = first[0].record(paths)
    write_further(path, read(path), outcomes("dp3", first[0].task, 5, 10))
    assert [type(one) for _, one in read_all([paths.records])] == [Record] * 4, "it is no record itself"
    verdict = audit(read(path), path, 1, most=0)
    assert not any("played on" in text for text in verdict.wrong)
    data = json.loads(further_path(path).read_text())
    data["evaluation"]["episodes"][0][1] ^= 1
    further_path(path).write_text(json.dumps(data))
    assert any("what was played on says" in text for text in audit(read(path), path, 1, most=0).wrong)
    further_path(path).write_text(json.dumps({**data, "identity_hash": "x"}))
    with pytest.raises(BadRecord, match="belongs to another record"):
        read_further(path, read(path))


@pytest.mark.sim
@pytest.mark.slow
def test_real_policies_play_on_and_the_audit_follows(tmp_path: Path) -> None:
    few = ["protocol.epochs=2", "protocol.evaluate_every=2", "protocol.rollouts=2", "protocol.retest_rollouts=3",
           "protocol.train_demos=3", "protocol.valid_demos=0", "protocol.horizon=60"]  # fmt: skip

    def bench(*arguments: str) -> str:
        command = [sys.executable, "-m", "benchmark.cli", *arguments]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=400)
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout

    where = ["--suite", "metaworld-15", "--protocol", "quick"]
    bench("run", *where, "--tasks", "reach", "--method", "state,proprio-only", *few)
    settings = [word for text in few for word in ("--set", text)]
    words = ["compare", "state", "proprio-only", *where, "--until-decided", "--batch", "2", "--most", "3", *settings]
    found = json.loads(bench(*words, "--json"))
    assert found["episodes"] == 3 + 3 and found["played"] == 6
    path = next((tmp_path / "runs/records").iterdir()) / "metaworld-15/reach/state/mlp-s0.json"
    more = read_further(path, read(path))
    assert more is not None and len(more.episodes) == 3
    known = {row[0] for row in read(path).retest.episodes}
    assert not known & {row[0] for row in more.episodes}, "none is played twice"
    verdict = audit(read(path), path, 2)
    assert verdict.holds and verdict.replayed == 6
    assert json.loads(bench(*words, "--json"))["played"] == 6, "asked again, they are there"
    bench("run", *where, "--tasks", "reach", "--method", "state", "--overwrite", *few)
    assert read_further(path, read(path)) is None, "they were another checkpoint's"
