"""The committed records of aloha: apart, because their simulator is installed by hand, and small by `bench shrink`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from benchmark.cli.main import app
from benchmark.records.actions import read_kept, retest_actions
from benchmark.records.read import read
from benchmark.records.shifted_retests import read_shifts
from benchmark.records.shrink import shrink_records
from benchmark.report.tables.clamp_1 import differences
from tests.aloha_here import aloha, needs_aloha

__all__ = ["aloha"]
MEASURED = Path(__file__).resolve().parents[2] / "results" / "measured-aloha"
PATHS = sorted(path for path in MEASURED.rglob("*.json") if not path.name.endswith(".shifts.json"))
IDS = [str(path.relative_to(MEASURED).with_suffix("")) for path in PATHS]


@pytest.mark.parametrize("path", PATHS, ids=IDS)
def test_a_record_agrees_with_itself_and_lies_where_it_says(path: Path) -> None:
    record = read(path)
    assert str(path.relative_to(MEASURED)) == (
        f"{record.protocol}/{record.suite}/{record.task}/{record.method}/{record.head}-s{record.seed}.json"
    )
    assert record.provenance["git"]["dirty"] is False
    played = record.identity["protocol"]["retest_rollouts"]
    assert record.errors == 0 and len(record.retest.episodes) == played
    kept, hashes = read_kept(retest_actions(path), record.horizon)
    assert kept and len(kept) + len(hashes) == played, "the actions of some, and the hashes of the others"
    assert retest_actions(path).stat().st_size < 500_000
    assert set(read_shifts(path, record)) <= {"seeds=training"}


@pytest.mark.slow
def test_a_copy_has_all_of_them(tmp_path: Path) -> None:
    """One with a dot in its name, too."""
    assert any("." in path.stem for path in PATHS)
    shrink_records(MEASURED, tmp_path, 500_000)
    copied = {path.relative_to(tmp_path): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert copied == {path.relative_to(MEASURED): path.read_bytes() for path in MEASURED.rglob("*") if path.is_file()}


def test_a_table_says_with_which_options_they_were_made() -> None:
    """Who sets them beside the records of other demonstrations has to know."""
    assert PATHS
    notes = differences([read(path) for path in PATHS])
    said = "simulated and demonstrated with env.aloha.variety=false env.aloha.habit=true (docs/aloha.md)."
    assert f"can-opener-in-caddy, mug-on-plate, pen-in-container, plate-on-rack: {said}" in notes


@needs_aloha
@pytest.mark.sim
@pytest.mark.committed
@pytest.mark.slow
@pytest.mark.parametrize("path", PATHS, ids=IDS)
def test_its_first_episodes_play_again_as_recorded(path: Path, aloha: Any) -> None:
    words = ["audit", str(path.relative_to(MEASURED).with_suffix("")), "--records", str(MEASURED), "--episodes", "2"]
    words.append("--any-version")  # most are of `Aloha.revision` 1, where unstable physics did not end an episode
    done = CliRunner().invoke(app, [*words, "--workers", "1"], env={"COLUMNS": "400"})
    assert done.exit_code == 4 and "DOES NOT HOLD" not in done.stdout, done.output
    played = len(read(path).retest.episodes)
    assert f"replayed 2/{played}" in done.stdout, "an audit says that the other episodes' actions are not here"
