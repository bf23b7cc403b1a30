"""Two methods play on until the evidence decides."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from benchmark.experiment import until_decided as until_decided_module
from benchmark.experiment.cell import Cell
from benchmark.experiment.make_cells import make_cells
from benchmark.experiment.until_decided import finished_cells, until_decided
from benchmark.records.actions import write_actions
from benchmark.records.audit import audit
from benchmark.records.further_episodes import further_actions, further_path, read_further, write_further
from benchmark.records.paths import Paths
from benchmark.records.read import BadRecord, read, read_all
from benchmark.records.record import Evaluation, Record, Tally
from benchmark.records.replay_actions import Simulator
from benchmark.records.write import write
from benchmark.settings import seeds
from benchmark.settings.load import load_settings
from benchmark.system.errors import ConfigError
from tests.made_records import agreeing
from tests.report.test_tables import record
from tests.test_cli import here

NUMBERS = ["protocol.epochs=20", "protocol.evaluate_every=10", "protocol.rollouts=25", "protocol.retest_rollouts=5"]
SETTINGS = load_settings("metaworld-15", "quick", "mlp", NUMBERS)
RATES = {"dp3": 0.9, "proprio-only": 0.3}


def outcomes(method: str, task: str, first: int, count: int) -> Evaluation:
    """Retest episodes `first` to `first + count`, of a policy with the method's rate."""
    chosen = seeds.retest_seeds("metaworld-15", task, first + count)[first:]
    won = [int(np.random.default_rng([s, len(method)]).random() < RATES[method]) for s in chosen]
    rows = tuple((s, success, 50 if success else 200, None) for s, success in zip(chosen, won, strict=True))
    return Evaluation(10, Tally(sum(won), count, 0), rows)


def made(cell: Cell) -> Record:
    """The cell's record of a first look."""
    one = dataclasses.replace(
        record(cell.task, cell.method_name, (1, 1, 1)),
        protocol=cell.settings.protocol.name,
        seed=cell.seed,
        identity=cell.identity(),
        retest=outcomes(cell.method_name, cell.task, 0, 5),
    )
    found = agreeing(one)
    assert found.identity == cell.identity() and found.identity_hash == cell.identity_hash()
    return found


def put_further(path: Path, one: Record, evaluation: Evaluation) -> None:
    """Episodes played on, with actions of the right lengths."""
    arrays = {str(row[0]): np.zeros((row[2], 4), np.float32) for row in evaluation.episodes}
    write_actions(further_actions(path), arrays)
    write_further(path, one, evaluation)


@pytest.fixture
def played(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Paths, list[Cell], list[Cell]]:
    paths = Paths(tmp_path / "runs", tmp_path / "data")
    cells = {m: make_cells(SETTINGS, ["reach", "hammer"], [m], [0]) for m in RATES}
    for own in cells.values():
        for cell in own:
            write(made(cell), cell.record(paths))

    def further(cell: Cell, paths: Paths, command: str, count: int) -> None:
        path = cell.record(paths)
        put_further(path, read(path), outcomes(cell.method_name, cell.task, 5, count))

    monkeypatch.setattr(until_decided_module, "play_further", further)
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


@pytest.mark.slow
def test_checkpoints_of_one_method_share_an_episode_and_are_one_piece_of_evidence(
    played: tuple[Paths, list[Cell], list[Cell]],
) -> None:
    """The same policy under five seeds is not five times the evidence; seeds of two methods need not be the same."""
    paths, first, second = played
    one = until_decided(first, second, paths, 1e-9, 5, 5, "bench", lambda _: None)
    assert one.question == "these checkpoints"
    again = list(first)
    for seed in range(1, 5):
        for cell, known in zip(make_cells(SETTINGS, ["reach", "hammer"], ["dp3"], [seed]), first, strict=True):
            copy = made(cell)
            assert copy.retest == read(known.record(paths)).retest
            write(copy, cell.record(paths))
            put_further(cell.record(paths), copy, outcomes("dp3", cell.task, 5, 5))
            again.append(cell)
    several = until_decided(again, second, paths, 1e-9, 5, 5, "bench", lambda _: None)
    assert several.e == pytest.approx(one.e) and several.episodes == one.episodes == 2 * 10
    assert several.played == (10 + 2) * 5


@pytest.mark.slow
def test_equal_methods_are_left_undecided_at_the_limit(
    played: tuple[Paths, list[Cell], list[Cell]], monkeypatch: pytest.MonkeyPatch
) -> None:
    paths, first, second = played
    monkeypatch.setitem(RATES, "dp3", 0.3)
    for cell in first:
        write(made(cell), cell.record(paths))
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
    changed = load_settings("metaworld-15", "quick", "mlp", [*NUMBERS, "protocol.train_demos=3"])
    with pytest.raises(ConfigError, match="no finished cell of dp3 under"):
        finished_cells(changed, placed, "dp3", None, paths)
    unknown = [(path, dataclasses.replace(one, method="mine")) for path, one in placed]
    with pytest.raises(ConfigError, match="mine is no registered method, .* give path/to/file.py:Class"):
        finished_cells(SETTINGS, unknown, "mine", None, paths)
    mine = [(path, dataclasses.replace(one, method="clar+weights=mine")) for path, one in placed]
    with pytest.raises(ConfigError, match="give the file with --weights"):
        finished_cells(SETTINGS, mine, "clar+weights=mine", None, paths)


def test_further_episodes_belong_to_their_record(played: tuple[Paths, list[Cell], list[Cell]], tmp_path: Path) -> None:
    paths, first, _ = played
    path = first[0].record(paths)
    put_further(path, read(path), outcomes("dp3", first[0].task, 5, 10))
    assert [type(one) for _, one in read_all([paths.records])] == [Record] * 4, "it is no record itself"
    verdict = audit(read(path), path, Simulator(1), most=0)
    assert not any("played on" in text for text in verdict.contradictions) and verdict.parts[-1].name == "played on"
    data = json.loads(further_path(path).read_text())
    whole = json.loads(further_path(path).read_text())
    data["evaluation"]["episodes"][0][1] ^= 1
    further_path(path).write_text(json.dumps(data))
    found = audit(read(path), path, Simulator(1), most=0)
    assert any("what was played on says" in text for text in found.contradictions)
    further_path(path).write_text(json.dumps(whole))
    further_actions(path).rename(tmp_path / "elsewhere.npz")
    with pytest.raises(BadRecord, match="further.actions.npz, which has the actions, cannot be used"):
        read_further(path, read(path))
    further_path(path).write_text(json.dumps({**data, "identity_hash": "x"}))
    with pytest.raises(BadRecord, match="belongs to another record"):
        read_further(path, read(path))


@pytest.mark.sim
@pytest.mark.slow
def test_real_policies_play_on_and_the_audit_follows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    few = [
        "protocol.epochs=2",
        "protocol.evaluate_every=2",
        "protocol.rollouts=2",
        "protocol.retest_rollouts=3",
        "protocol.train_demos=3",
        "protocol.valid_demos=0",
        "protocol.horizon=60",
        "runtime.workers=1",
    ]

    def bench(*arguments: str) -> str:
        code, out, err = here(*arguments)
        assert code == 0, err[-2000:]
        return out

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
    verdict = audit(read(path), path, Simulator(1))
    assert verdict.word == "holds" and sum(part.replayed for part in verdict.parts) == 6
    assert json.loads(bench(*words, "--json"))["played"] == 6, "asked again, they are there"
    bench("run", *where, "--tasks", "reach", "--method", "state", "--overwrite", *few)
    assert read_further(path, read(path)) is None, "they were another checkpoint's"
