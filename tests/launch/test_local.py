"""Sweeps over this machine, on the toy simulator: what dies takes nothing along, and the same command goes on."""

from __future__ import annotations

import contextlib
import json
import signal
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.conftest import TOY
from tests.test_cli import start
from tests.warm_bench import warm_bench as bench
from tests.warm_bench import warm_start

ROOT = Path(__file__).resolve().parents[2]
# One thread, because torch sums in another order with another number of them, and a sweep gives each cell its own share
CELLS = [
    "--protocol",
    "quick",
    f"suite.env={TOY}",
    "suite.observation.cameras=[front]",
    "suite.tasks.easy=[near,far,cursed]",
    "protocol.train_demos=4",
    "protocol.valid_demos=1",
    "protocol.horizon=60",
    "protocol.epochs=4",
    "protocol.evaluate_every=2",
    "protocol.rollouts=4",
    "protocol.retest_rollouts=6",
    "runtime.workers=1",
    "runtime.threads=1",
]
LONG = ["--tasks", "near", "--method", "state", *CELLS, "protocol.epochs=60", "protocol.retest_rollouts=30"]


def records(folder: Path) -> dict[str, dict[str, Any]]:
    found = {}
    for path in sorted((folder / "runs" / "records").rglob("*.json")):
        data = json.loads(path.read_text())
        when = ("timings", "provenance", "seal")  # and where; the seal is over both
        found[str(path.relative_to(folder))] = {key: value for key, value in data.items() if key not in when}
    return found


def sweep_states(folder: Path) -> dict[str, str]:
    code, out, err = bench("status", "--json", cwd=folder)
    assert code == 0, err
    return {cell["label"]: cell["state"] for cell in json.loads(out)}


@pytest.mark.slow
def test_a_sweep_leaves_the_records_that_single_runs_leave(tmp_path: Path) -> None:
    together, alone = tmp_path / "together", tmp_path / "alone"
    together.mkdir()
    alone.mkdir()
    what = ["--tasks", "near", "--method", "state", "--seeds", "0:2", *CELLS]
    code, out, err = bench("sweep", *what, "--any-code", "launcher.jobs=2", "--name", "all", cwd=together)
    assert code == 0, err
    assert "2 of 2 cells have their records" in out
    assert bench("run", *what, cwd=alone)[0] == 0
    assert records(together) == records(alone)
    assert set(sweep_states(together).values()) == {"done"}
    code, out, _ = bench("sweep", *what, "--any-code", "--name", "all", cwd=together)
    assert code == 0
    assert "all 2 cells have their records" in out
    code, out, _ = bench("sweep", *what, "--any-code", "--dry-run", "--seeds", "0:4", cwd=together)
    assert "4 cells, 2 to do, by local" in out
    assert "prepare metaworld-15/near under quick+" in out and ": once for 2 cells" in out


@pytest.mark.slow
def test_a_cell_that_raises_harms_no_other_and_can_be_tried_again(tmp_path: Path) -> None:
    broken = tmp_path / "broken.py"
    text = (ROOT / "tests" / "frozen_toy.py").read_text().replace("class FrozenToy", "class Broken")
    text = text.replace('weights=(WeightFile("toy.pt", None, "MIT"),),', "").replace("frozen-toy", "broken")
    fault = 'raise ArithmeticError("too broken")'
    broken.write_text(text.replace("return self.network(", f"{fault}\n        return self.network("))
    what = ["--tasks", "near", "--method", f"state,{broken}:Broken", *CELLS, "--name", "mixed"]
    code, out, err = bench("sweep", *what, "--any-code", cwd=tmp_path)
    assert code == 1
    assert "1 of 2 cells have their records" in out
    assert "FAILED (exit 2)" in err, "its method is at fault, as a probe found out"
    code, out, _ = bench("status", cwd=tmp_path, COLUMNS="200")
    assert "1 done, 1 failed of 2" in out
    assert "ArithmeticError: too broken" in " ".join(out.split())
    assert "bench retry mixed" in out
    code, out, _ = bench("logs", "broken", cwd=tmp_path)
    assert "Traceback" in out
    mended = broken.read_text().replace(f"{fault}\n        ", "")
    broken.write_text("def\n")
    code, out, err = bench("retry", "--any-code", cwd=tmp_path)
    assert code == 1 and "FAILED metaworld-15/near/broken/mlp-s0: bench logs" in out, "the cell's failure"
    broken.write_text(mended)
    code, out, err = bench("retry", "--any-code", cwd=tmp_path)
    assert code == 0, err
    assert "made anew with the code of their methods as it is now: metaworld-15/near/broken/mlp-s0" in err
    assert set(sweep_states(tmp_path).values()) == {"done"}


def family(folder: Path) -> list[psutil.Process]:
    """Every process that was started for this folder's sweep, simulators included."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get("SWEEP_TEST") == str(folder) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


@pytest.mark.slow
def test_a_sweep_that_is_stopped_leaves_no_process_and_goes_on(tmp_path: Path) -> None:
    """Ctrl-C, kill -9 of the launcher, and our own word for it, one after the other."""
    (calm := tmp_path / "calm").mkdir()
    code, _, err = bench("run", *LONG, cwd=calm)
    assert code == 0, err
    (stopped := tmp_path / "stopped").mkdir()
    sweep = ["sweep", *LONG, "--any-code", "launcher.jobs=2"]
    for how in (signal.SIGINT, signal.SIGKILL, "bench cancel"):
        before = set(stopped.rglob("epoch-*.pt"))
        process = start(*sweep, cwd=stopped, SWEEP_TEST=str(stopped))
        end = time.monotonic() + 90
        while not set(stopped.rglob("epoch-*.pt")) - before:
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < end
            time.sleep(0.05)
        assert len(family(stopped)) >= 3, "the launcher, a cell and its simulator"
        if isinstance(how, str):
            assert "cancelled process" in bench("cancel", cwd=stopped)[1]
        else:
            process.send_signal(how)
        process.wait(40)
        while family(stopped) and time.monotonic() < end + 30:
            time.sleep(0.2)  # what is killed outright cannot wait for its cells; the kernel tells them
        assert family(stopped) == [], how
        assert not records(stopped), f"{how}: it was stopped too late to show anything"
    code, out, err = bench(*sweep, cwd=stopped)
    assert code == 0, err
    assert "1 of 1 cells" in out
    assert records(stopped) == records(calm)


@pytest.mark.slow
def test_two_sweeps_of_the_same_cells_compute_each_once(tmp_path: Path) -> None:
    what = ["--tasks", "near", "--method", "state", "--seeds", "0:2", *CELLS, "--any-code", "launcher.jobs=2"]
    both = [warm_start("sweep", *what, "--name", name, cwd=tmp_path) for name in ("one", "two")]
    outs = [process.communicate(timeout=200) for process in both]
    assert all(process.returncode in (0, 3) for process in both), outs
    found = records(tmp_path)
    assert len(found) == 2
    for path in found:
        provenance = json.loads((tmp_path / path).read_text())["provenance"]
        assert len(provenance["attempts"]) == 1, "nobody else has begun it"


@pytest.mark.slow
def test_the_same_sweep_twice_at_once_is_refused(tmp_path: Path) -> None:
    first = warm_start("sweep", *LONG, "--any-code", cwd=tmp_path)
    while not list(tmp_path.rglob("local.holder")):
        assert first.poll() is None
        time.sleep(0.05)
    code, _, err = bench("sweep", *LONG, "--any-code", cwd=tmp_path)
    assert code == 3
    assert f"is being worked on by process {first.pid}" in err
    first.send_signal(signal.SIGHUP)  # the terminal closes
    assert first.wait(40) == 130


@pytest.mark.slow
def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    code, _, err = bench("sweep", *LONG, "--out", "/sys/nowhere", "--data", str(tmp_path), cwd=tmp_path)
    assert code == 2
    assert "/sys/nowhere" in err
    assert "--out" in err


@pytest.mark.slow
def test_run_takes_a_launcher_too(tmp_path: Path) -> None:
    what = ["--tasks", "near", "--method", "state", *CELLS, "--launcher", "debug"]
    code, out, err = bench("run", *what, "--dry-run", cwd=tmp_path)
    assert (code, out.splitlines()[0]) == (0, "1 cells, 1 to do, by debug"), err
    assert not (tmp_path / "runs").exists()
    code, out, err = bench("run", *what, cwd=tmp_path)
    assert code == 0, err
    assert "1 of 1 cells have their records" in out
    code, out, _ = bench("run", *what, "--dry-run", "--seeds", "0:2", cwd=tmp_path)
    assert "hours for the cells that are measured already" in out
