"""The committed records: readable, made by the present settings, and true when their actions are played again."""

from __future__ import annotations

import functools
import os
from pathlib import Path

import numpy as np
import pytest

from benchmark.experiment.make_cells import make_cells, read_label
from benchmark.records.joint_tasks import by_task
from benchmark.records.read import read, read_all
from benchmark.records.record import Record
from benchmark.records.shifted_retests import read_shifts
from benchmark.report.tables.forms import render
from benchmark.report.tables.papers import SUITES, paper_table
from benchmark.settings.load import load_settings
from envs.pool import EnvConfig, Pool
from envs.spec import ObservationRequest
from methods.weights import Weights

MEASURED = Path(__file__).resolve().parents[2] / "results" / "measured"
PATHS = sorted(path for path in MEASURED.rglob("*.json") if not path.name.endswith((".shifts.json", ".further.json")))
IDS = [str(path.relative_to(MEASURED).with_suffix("")) for path in PATHS]
PLAYED = sorted({(p.parents[2].name.split("-")[0], task) for p in PATHS for task in p.parents[1].name.split("+")})
"""The first word of a suite, which names its simulator, and a task."""
REPLAYED = 4
"""Episodes of each record that are played again here; docs/measured.md says when all of them were."""


def test_what_the_readme_promises_is_there() -> None:
    cells = {
        f"clar/metaworld-15/{task}/{method}/mlp-s0"
        for task in ("reach", "hammer", "box-close")
        for method in ("state", "dp3", "random-features", "proprio-only")
    }
    assert cells <= set(IDS)


@pytest.mark.parametrize("path", PATHS, ids=IDS)
def test_a_record_is_whole_and_its_command_would_make_it_again(path: Path) -> None:
    record = read(path)
    assert str(path.relative_to(MEASURED)) == (
        f"{record.protocol}/{record.suite}/{record.task}/{record.method}/{record.head}-s{record.seed}.json"
    )
    settings = load_settings(record.suite, record.protocol, record.head)
    name, label, settings = read_label(record.method, settings)
    known = Weights(label, (), tuple(record.weights["files"].items())) if label else None  # the file is not here
    (cell,) = make_cells(settings, [record.task], [name], [record.seed], known)
    assert record.identity == cell.identity(), "the present code would call this a record of other settings"
    assert record.identity_hash == cell.identity_hash()
    assert [e.epoch for e in record.evaluations] == settings.protocol.evaluation_epochs
    for evaluation in (*record.evaluations, record.retest):
        assert evaluation.tally.k == sum(success for _, success, _, _ in evaluation.episodes)
        assert evaluation.tally.n + evaluation.tally.errors == len(evaluation.episodes)
    assert len(record.retest.episodes) == settings.protocol.retest_rollouts * len(cell.tasks)
    assert set(read_shifts(path, record)) == set(settings.suite.shift)
    assert record.frozen["unchanged"] == record.frozen["by_card"]
    assert record.provenance["git"]["dirty"] is False
    assert path.with_suffix(".png").exists()


@functools.cache
def all_parts() -> list[tuple[Path, Record]]:
    """The committed records, joint ones task by task."""
    return [(path, part) for path in PATHS for part in by_task(read(path))]


def replay(pool: Pool, record: Record, path: Path, episodes: int) -> int:
    """Play the kept retest actions; returns how many episodes came out as recorded."""
    rows = record.retest.episodes[:episodes]
    with np.load(path.with_suffix(".actions.npz")) as actions:
        flags = dict(pool.map("replay", [(seed, actions[str(seed)]) for seed, *_ in rows]))
    return sum((any(flags[i]), len(flags[i])) == (bool(s), steps) for i, (_, s, steps, _) in enumerate(rows))


@pytest.mark.committed
@pytest.mark.slow
@pytest.mark.sim
@pytest.mark.parametrize(("suite", "task"), PLAYED, ids=lambda value: value)
def test_the_kept_actions_replay_to_the_recorded_outcomes(suite: str, task: str) -> None:
    """Of all records of a task in one worker: starting a simulator takes longer than the episodes."""
    found = [(path, part) for path, part in all_parts() if part.task == task and part.suite.startswith(suite)]
    (env,) = {part.env for _, part in found}
    with Pool(EnvConfig(env, task, ObservationRequest(("proprio",))), 1) as pool:
        came_out = {str(path): replay(pool, record, path, REPLAYED) for path, record in found}
    assert came_out == dict.fromkeys(came_out, REPLAYED)


TABLES = (
    (1, "clar", "clar", ""),
    (1, "steady", "clar", ""),
    (1, "quick", "clar", ""),
    (2, "clar-rlbench", "clar", "rlbench4-port"),
    (3, "quick", "clar", ""),
    (4, "quick", "clar", ""),
    (4, "clar", "clar", ""),
    (5, "clar", "clar-small", ""),
)
"""Number, protocol, method of the ablation, and a suite in place of the table's own."""


@pytest.mark.slow
def test_the_tables_in_the_docs_are_rendered_from_the_records() -> None:
    """REGENERATE_GOLDEN=1 writes them."""
    placed = [
        (path, part) for path, record in read_all([MEASURED]) if isinstance(record, Record) for part in by_task(record)
    ]
    parts = ["# The papers' tables, from the records in results/measured\n"]
    for number, protocol, method, other in TABLES:
        suite = load_settings(other or SUITES["clar", number], protocol, "mlp").suite
        given = {"suite": other, "protocol": "" if protocol.startswith("clar") else protocol}
        given["method"] = "" if method == "clar" else method
        options = "".join(f" --{name} {value}" for name, value in given.items() if value)
        parts.append(f"`bench table {number}{options} --records results/measured --format markdown`\n")
        parts.append(render(paper_table("clar", number, placed, suite, protocol, method), "markdown"))
    text, file = "\n".join(parts), MEASURED.parents[1] / "docs" / "tables.md"
    if os.environ.get("REGENERATE_GOLDEN"):
        file.write_text(text)
    assert file.read_text() == text
