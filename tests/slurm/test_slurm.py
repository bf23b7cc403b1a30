"""Sweeps over a real Slurm, and what clusters do to them. Every sweep ends with the records of an undisturbed run.

The cluster has no accounting storage, so `sacct` never answers: nothing here may depend on it.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.test_cli import bench, start

ROOT = Path(__file__).resolve().parents[2]
SLOW = f"{Path(__file__).parent / 'slow_toy.py'}:SlowToy"
CELLS = [
    "--protocol",
    "quick",
    "--method",
    "state",
    "--tasks",
    "near",
    f"suite.env={SLOW}",
    "suite.observation.cameras=[front]",
    "suite.tasks.easy=[near,far,cursed]",
    "protocol.train_demos=4",
    "protocol.valid_demos=1",
    "protocol.horizon=60",
    "protocol.epochs=24",
    "protocol.evaluate_every=2",
    "protocol.rollouts=4",
    "protocol.retest_rollouts=6",
    "runtime.workers=1",
    "runtime.threads=1",
]
SLURM = ["--launcher", "slurm", "--any-code", "--cpus", "1", "--mem", "600MB", "--time", "30"]
PACE = "0.008"
"""Seconds of a simulator's step: a cell of 54 episodes then takes some 20 s."""


def sweep(folder: Path, *arguments: str, pace: str = PACE) -> str:
    code, out, err = bench("sweep", *CELLS, *SLURM, *arguments, cwd=folder, TOY_DELAY=pace, PYTHONPATH=str(ROOT))
    assert code == 0, err
    return out


def records(folder: Path) -> dict[str, dict[str, Any]]:
    return {
        str(path.relative_to(folder)): json.loads(path.read_text())
        for path in sorted((folder / "runs" / "records").rglob("*.json"))
    }


def results(folder: Path) -> dict[str, dict[str, Any]]:
    """Everything of a record but when, where and how long."""
    return {
        name: {key: value for key, value in record.items() if key not in ("timings", "provenance", "seal")}
        for name, record in records(folder).items()
    }


def states(folder: Path, *name: str) -> dict[str, dict[str, Any]]:
    code, out, err = bench("status", *name, "--json", cwd=folder)
    assert code == 0, err
    return {cell["label"].rpartition("/")[2]: cell for cell in json.loads(out)}


def until(true: Callable[[], Any], seconds: float, what: str) -> Any:
    end = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < end, f"{what} has not come in {seconds} s"
        time.sleep(0.2)
    return found


def finished(folder: Path, count: int = 1, seconds: float = 120) -> None:
    until(lambda: len(records(folder)) == count, seconds, f"{count} records")
    until(lambda: not queue(), 30, "an empty queue")


def queue(form: str = "%i") -> list[str]:
    return subprocess.run(["squeue", "-h", "-o", form], capture_output=True, text=True).stdout.split()


def half_way(folder: Path) -> bool:
    return len(list(folder.rglob("epoch-*.pt"))) >= 3


def cell_processes(folder: Path) -> list[psutil.Process]:
    """The jobs of this folder's sweep and their simulators."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            mine = str(folder) in process.environ().get("SUBMITIT_FOLDER", "") or process.cwd() == str(folder)
            if mine and process.status() != psutil.STATUS_ZOMBIE and "bench" not in process.name():
                found.append(process)
    return found


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("undisturbed")
    code, _, err = bench("run", *CELLS, "--seeds", "0:2", cwd=folder, PYTHONPATH=str(ROOT))
    assert code == 0, err
    return results(folder)


@pytest.fixture
def one(undisturbed: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {name: record for name, record in undisturbed.items() if name.endswith("s0.json")}


def test_an_array_of_cells_after_their_preparation(calm_cluster: Path, tmp_path: Path, undisturbed: Any) -> None:
    """Submitted twice from two shells that close at once: each cell is computed once."""
    out = sweep(tmp_path, "--seeds", "0:2", "launcher.comment=ours", pace="0.002")
    assert "2 cells submitted as" in out
    assert "prepares" in out
    assert "2 of 2 missing cells are in the queue already" in sweep(tmp_path, "--seeds", "0:2", pace="0.002")
    assert "2 cells submitted as" in sweep(tmp_path, "--seeds", "0:2", "--name", "another", pace="0.002")
    assert "ours" in queue("%k")
    until(lambda: [n for n in queue("%j") if n == "near/state/mlp-s1"], 60, "a name that a person can read")
    finished(tmp_path, 2)
    assert results(tmp_path) == undisturbed
    assert all(len(record["provenance"]["attempts"]) == 1 for record in records(tmp_path).values())
    assert {cell["state"] for cell in states(tmp_path).values()} == {"done"}
    assert "all 2 cells have their records" in sweep(tmp_path, "--seeds", "0:2")
    code, out, _ = bench("logs", "mlp-s1", cwd=tmp_path)
    assert code == 0
    assert "retest near epoch" in out


def test_the_time_limit(calm_cluster: Path, tmp_path: Path, one: Any) -> None:
    sweep(tmp_path, "--time", "1", "launcher.signal_delay=5", pace="0.035")
    until(lambda: half_way(tmp_path), 60, "a checkpoint")
    finished(tmp_path, seconds=180)
    assert results(tmp_path) == one
    (record,) = records(tmp_path).values()
    assert len(record["provenance"]["attempts"]) >= 2, "it came back"
    assert states(tmp_path)["mlp-s0"]["restarts"] >= 1


def test_a_preemption(calm_cluster: Path, tmp_path: Path, one: Any) -> None:
    sweep(tmp_path, "--partition", "low")
    until(lambda: half_way(tmp_path), 60, "a checkpoint")
    subprocess.run(
        ["sbatch", "-p", "high", "-N", "4", "--exclusive", "-o", "/dev/null", "--wrap", "sleep 3"],
        check=True,
        capture_output=True,
    )
    until(lambda: states(tmp_path)["mlp-s0"]["state"] == "waiting", 40, "the cell's place in the queue")
    finished(tmp_path)
    assert results(tmp_path) == one
    assert len(next(iter(records(tmp_path).values()))["provenance"]["attempts"]) == 2


def test_cancelled_and_issued_again(calm_cluster: Path, tmp_path: Path, one: Any) -> None:
    sweep(tmp_path)
    until(lambda: half_way(tmp_path), 60, "a checkpoint")
    assert len(cell_processes(tmp_path)) >= 2, "a cell and its simulator"
    code, out, _ = bench("cancel", cwd=tmp_path)
    assert code == 0
    assert "cancelled Slurm jobs" in out
    until(lambda: not cell_processes(tmp_path), 30, "the end of every process of the sweep")
    until(lambda: not queue(), 30, "an empty queue")
    state = states(tmp_path)["mlp-s0"]
    assert state["state"] == "stopped", state
    assert "cancelled" in state["detail"]
    sweep(tmp_path)
    finished(tmp_path)
    assert results(tmp_path) == one


def test_a_node_that_dies(calm_cluster: Path, tmp_path: Path, one: Any) -> None:
    """Its daemon and everything on it are killed at once; Slurm gives the job to another node."""
    sweep(tmp_path)
    until(lambda: half_way(tmp_path), 60, "a checkpoint")
    (node,) = queue("%N")
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if words[:1] == ["slurmd"] and words[words.index("-N") + 1] == node:
            for each in [process, *process.children(recursive=True)]:
                each.kill()
    for process in cell_processes(tmp_path):
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    for process in psutil.process_iter(["name", "cmdline"]):
        if "slurmstepd" in (process.info["name"] or "") and psutil.pid_exists(process.pid):
            process.kill()
    finished(tmp_path, seconds=150)
    assert results(tmp_path) == one
    (record,) = records(tmp_path).values()
    nodes = [attempt["node"] for attempt in record["provenance"]["attempts"]]
    assert nodes[0] == node
    assert nodes[1] != node
    assert all(attempt["torch"] and attempt["device"] for attempt in record["provenance"]["attempts"])


def test_the_controller_is_restarted(calm_cluster: Path, tmp_path: Path, one: Any) -> None:
    sweep(tmp_path)
    until(lambda: half_way(tmp_path), 60, "a checkpoint")
    (controller,) = [p for p in psutil.process_iter(["cmdline"]) if (p.info["cmdline"] or [""])[0] == "slurmctld"]
    controller.terminate()
    with contextlib.suppress(psutil.TimeoutExpired):
        controller.wait(10)
    state = states(tmp_path)["mlp-s0"]
    assert state["state"] == "running", "Slurm is down: the files tell"
    assert state["epoch"].endswith("/24")
    code, _, err = bench("cancel", cwd=tmp_path)
    assert code == 2
    assert "Slurm does not answer" in err
    subprocess.run([str(calm_cluster), "controller"], check=True, capture_output=True)
    finished(tmp_path)
    assert results(tmp_path) == one
    assert len(next(iter(records(tmp_path).values()))["provenance"]["attempts"]) == 1


def test_a_cell_that_raises_and_a_simulator_that_is_killed(
    calm_cluster: Path, tmp_path: Path, undisturbed: Any
) -> None:
    broken = tmp_path / "broken.py"
    text = (ROOT / "tests" / "frozen_toy.py").read_text().replace("class FrozenToy", "class Broken")
    text = text.replace('weights=(WeightFile("toy.pt", None, "MIT"),),', "").replace("frozen-toy", "broken")
    fault = 'raise ArithmeticError("too broken")'
    broken.write_text(text.replace("return self.network(", f"{fault}\n        return self.network("))
    sweep(tmp_path, "--method", f"state,{broken}:Broken")
    until(lambda: half_way(tmp_path), 60, "a checkpoint")
    simulators = [p for p in cell_processes(tmp_path) if "envs.serving" in " ".join(p.cmdline())]
    for process in simulators:
        process.kill()  # as the kernel does when memory runs out
    assert simulators
    finished(tmp_path)
    (name,) = records(tmp_path)
    assert results(tmp_path)[name] == undisturbed[name], "the episode was run again"
    assert records(tmp_path)[name]["provenance"]["worker_deaths"] >= 1
    state = next(cell for cell in json.loads(bench("status", "--json", cwd=tmp_path)[1]) if "broken" in cell["label"])
    assert state["state"] == "failed"
    assert "encode raised ArithmeticError: too broken (broken.py, line" in state["detail"]
    assert "Traceback" in bench("logs", "broken", cwd=tmp_path)[1]
    broken.write_text(broken.read_text().replace(f"{fault}\n        ", ""))
    code, out, err = bench("retry", "launcher.mem=500MB", cwd=tmp_path, PYTHONPATH=str(ROOT))
    assert code == 0, err
    assert "1 cells submitted" in out
    finished(tmp_path, 2)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "small"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1M", "none", str(folder)], capture_output=True).returncode:
        pytest.skip("no tmpfs can be mounted here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_disk_that_is_full(calm_cluster: Path, small_disk: Path, one: Any) -> None:
    sweep(small_disk, pace="0")
    (small_disk / "ballast").write_bytes(b"0" * 2**19)
    with contextlib.suppress(OSError):
        (small_disk / "more").write_bytes(b"0" * 2**20)
    until(lambda: not queue(), 60, "the job's end")
    assert not records(small_disk)
    subprocess.run(["mount", "-o", "remount,size=50M", str(small_disk)], check=True)
    state = states(small_disk)["mlp-s0"]
    assert state["state"] == "failed", state
    (small_disk / "ballast").unlink()
    (small_disk / "more").unlink()
    sweep(small_disk, pace="0")
    finished(small_disk)
    assert results(small_disk) == one


def test_the_shell_that_submitted_closes(calm_cluster: Path, tmp_path: Path, one: Any) -> None:
    shell = start("sweep", *CELLS, *SLURM, cwd=tmp_path, TOY_DELAY="0.002", PYTHONPATH=str(ROOT))
    until(lambda: list(tmp_path.rglob("jobs/*.json")), 30, "the submission")
    with contextlib.suppress(ProcessLookupError):
        os.killpg(shell.pid, signal.SIGHUP)
    shell.communicate()
    finished(tmp_path)
    assert results(tmp_path) == one


PRETRAINING = [
    "suite",
    "clar-ablation",
    "--method",
    "clar-small",
    "--variants",
    "mae-only,none",
    "--tasks",
    "hammer",
    "--protocol",
    "quick",
    "protocol.epochs=2",
    "protocol.evaluate_every=2",
    "protocol.rollouts=2",
    "protocol.retest_rollouts=2",
    "protocol.train_demos=3",
    "pretrain.epochs=1",
    "pretrain.warmup_epochs=0",
    "pretrain.batch_size=8",
    "pretrain.metaworld-35.tasks=[push]",
    "pretrain.metaworld-35.demos=2",
    "pretrain.metaworld-35.held_out=1",
    "pretrain.metaworld-35.stride=40",
    "--launcher",
    "slurm",
    "launcher.cpus=1",
    "launcher.mem=600MB",
    "launcher.time=30",
]


def test_cells_follow_their_pre_training(calm_cluster: Path, tmp_path: Path) -> None:
    """One command: the cluster submits the cells by itself, and does not where the pre-training fails."""
    broken = ["pretrain.metaworld-35.root=/nowhere"]
    code, _, err = bench(*PRETRAINING, *broken, cwd=tmp_path)
    assert code == 0, err
    assert "submits the cells once all have succeeded" in err
    until(lambda: not queue(), 120, "the end of a pre-training that fails, and of what waited for it")
    assert not records(tmp_path)
    assert len(list((tmp_path / "runs" / "sweeps").iterdir())) == 1, "no cell was submitted"
    code, _, err = bench(*PRETRAINING, cwd=tmp_path)
    assert code == 0, err
    code, _, err = bench(*PRETRAINING, cwd=tmp_path)
    assert code == 0, err
    assert "waits already to submit the cells" in err
    until(lambda: len(records(tmp_path)) == 2, 400, "the records of both variants")
    until(lambda: not queue(), 30, "an empty queue")
    labels = [record["method"] for record in records(tmp_path).values()]
    assert labels == ["clar-small+weights=metaworld-35-mae-only", "clar-small+weights=random"]
