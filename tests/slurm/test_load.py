"""Five hundred cells over a real Slurm: none lost, none done twice."""

from __future__ import annotations

import collections
import json
import subprocess
import time
from pathlib import Path

import pytest

from benchmark.launch.profile import load_profile
from benchmark.launch.start_sweep import launch
from benchmark.launch.status import states
from benchmark.records.read import read
from tests.slurm import dummy
from tests.slurm.test_slurm import queue, until
from tests.test_cli import bench

COUNT = 500
PARALLEL = 8


def test_five_hundred_cells(calm_cluster: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(dummy.ROOT))
    profile = load_profile("slurm", {"cpus": 1, "mem": "200MB", "time": 60, "array_parallelism": PARALLEL})
    sweep = dummy.make(tmp_path / "runs", COUNT, profile)
    start = time.monotonic()
    jobs = launch(sweep, profile)["jobs"]
    submitted = time.monotonic() - start
    assert len(set(jobs["run"])) == COUNT
    assert len({job.partition("_")[0] for job in jobs["run"]}) == 2, "the cluster takes arrays of 300"
    assert len(jobs["prepare"]) == 5
    answers = []
    while queue():
        assert time.monotonic() - start < 1200
        began = time.monotonic()
        code, out, err = bench("status", "--json", cwd=tmp_path)
        answers.append(time.monotonic() - began)
        assert code == 0, err
        assert len(json.loads(out)) == COUNT
        time.sleep(5)
    took = time.monotonic() - start
    until(lambda: not sweep.missing(), 10, "the last record")
    done = collections.Counter((tmp_path / "runs" / "done.txt").read_text().splitlines())
    assert set(done.values()) == {1}, [what for what, times in done.items() if times > 1][:5]
    assert len([what for what in done if what.startswith("run ")]) == COUNT
    assert len([what for what in done if what.startswith("prepare ")]) == 5
    assert sorted(read(entry.record).seed for entry in sweep.entries) == list(range(COUNT))
    assert {state.state for state in states(sweep)} == {"done"}
    assert not subprocess.run(["squeue", "-h"], capture_output=True, text=True).stdout
    print(
        f"\n{COUNT} cells: submitted in {submitted:.1f} s, ended after {took:.0f} s, {took / COUNT:.2f} s a cell with "
        f"{PARALLEL} at once; bench status answered in {sorted(answers)[len(answers) // 2]:.2f} s (the longest "
        f"{max(answers):.2f} s)"
    )
