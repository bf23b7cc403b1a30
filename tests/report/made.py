"""Records that a report is made of in tests: several heads, seeds, cameras, errors, and names that need escaping."""

from __future__ import annotations

import base64
import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.records.joint_tasks import of_rows
from benchmark.records.paths import record_path
from benchmark.records.record import Record
from benchmark.records.shifted_retests import write_shifts
from benchmark.records.write import write
from benchmark.report.page.film import packed, write_video
from tests.made_records import agreeing
from tests.report.test_tables import record

TASKS = ("reach", "hammer", "box-close")
RATES = {"dp3": 0.8, "pointnet": 0.7, "proprio-only": 0.25, '<b>odd & "named"': 0.5}
EPOCHS = range(10, 151, 10)


def one(
    task: str,
    method: str,
    head: str = "mlp",
    seed: int = 0,
    rollouts: int = 25,
    retest: int = 100,
    suite: str = "metaworld-15",
) -> Record:
    """Evaluations around the method's rate and a retest at it; everything else as a real record has it."""
    known = method if method in ("dp3", "pointnet", "proprio-only") else "dp3"
    draw = np.random.default_rng([len(task), len(method), len(head), seed])
    rate = RATES[method] - (0.1 if head == "bnmlp" and method == "dp3" else 0)

    def played(count: int, start: int) -> tuple[tuple[int, int, int, str | None], ...]:
        return tuple((start + i, int(draw.random() < rate), int(draw.integers(20, 200)), None) for i in range(count))

    evaluations = [of_rows(epoch, played(rollouts, 10_000 * epoch)) for epoch in EPOCHS]
    best = max(evaluations, key=lambda e: e.tally.rate)
    rows = played(retest, 1)
    if task == "hammer" and method == "pointnet":
        rows = ((rows[0][0], 0, 0, "the worker died </script>"), *rows[1:])
    made = record(task, known, (1, 1, 1), head=head, seed=seed)
    return agreeing(
        dataclasses.replace(
            made,
            method=method,
            suite=suite,
            evaluations=tuple(evaluations),
            retest=of_rows(best.epoch, rows),
            timings={"training": 900.0 + seed, "rollouts": 300.0},
            provenance={"command": "bench run", "git": {"commit": "c0ffee"}},
        )
    )


def place(made: Record, root: Path) -> tuple[Path, Record]:
    path = record_path(root, made.protocol, made.suite, made.task, made.method, made.head, made.seed)
    write(made, path)
    return path, made


def several(root: Path) -> list[tuple[Path, Record]]:
    placed = [
        place(one(task, method, head, seed), root)
        for task in TASKS
        for method in RATES
        for head in ("mlp", "bnmlp")
        for seed in range(3)
    ]
    path, moved = place(one("reach", "dp3", suite="metaworld-perspective"), root)
    angles = {f"corner@azimuth={a}": moved.retest for a in (-20, -10, 10, 20)}
    write_shifts(path, moved.identity_hash, moved.selected_epoch, {"corner2": moved.retest, **angles})
    return [*placed, (path, moved)]


def media(folder: Path) -> dict[str, Any]:
    """Two films of a moving square and a cloud of a known shape."""
    folder.mkdir(parents=True, exist_ok=True)
    frames = [np.zeros((64, 64, 3), np.uint8) for _ in range(30)]
    for i, frame in enumerate(frames):
        frame[20:40, i : i + 20] = (220, 60, 20)
    for name in ("a.mp4", "b.mp4"):
        write_video(folder / name, frames)
    points = np.random.default_rng(0).random((500, 3)).astype(np.float32)
    cloud = packed(points, np.arange(500) < 400, "seed 1, step 0")
    assert len(base64.b64decode(cloud["points"])) == 400 * 6
    films = [{"file": "a.mp4", "label": "success, seed 1, 30 steps"}, {"file": "b.mp4", "label": "failure, seed 2"}]
    return {"films": films, "clouds": [cloud], "note": ""}
