"""`bench` as a user meets it: a wrong word, a broken machine, two shells, Ctrl-C, kill -9."""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from typer.testing import CliRunner

from benchmark.cli.main import app
from tests.warm_bench import warm_bench, warm_start

pytestmark = pytest.mark.slow

TINY = [
    "--suite",
    "metaworld-15",
    "--tasks",
    "reach",
    "--protocol",
    "quick",
    "protocol.train_demos=3",
    "protocol.valid_demos=1",
    "protocol.horizon=100",
    "protocol.epochs=4",
    "protocol.evaluate_every=2",
    "protocol.rollouts=4",
    "protocol.retest_rollouts=6",
    "runtime.threads=1",
    "runtime.workers=2",
]


def start(*arguments: str, cwd: Path, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "benchmark.cli", *arguments],
        cwd=cwd,
        text=True,
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"COLUMNS": "160"} | environment,
        # a shell that runs the tests in the background has told them to ignore Ctrl-C, which children inherit
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


def bench(*arguments: str, cwd: Path, **environment: str) -> tuple[int, str, str]:
    process = start(*arguments, cwd=cwd, **environment)
    out, err = process.communicate(timeout=300)
    return process.returncode, out, err


def here(*arguments: str) -> tuple[int, str, str]:
    """As `bench`, in this process: for what needs no process of its own."""
    done = CliRunner().invoke(app, list(arguments), env={"COLUMNS": "160"})
    return done.exit_code, done.stdout, done.stderr


def the_record(folder: Path) -> dict[str, Any]:
    (path,) = (folder / "runs/records").rglob("*.json")
    data = json.loads(path.read_text())
    return {key: value for key, value in data.items() if key not in ("timings", "provenance", "seal")}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "--method", "dp4"], "unknown method 'dp4'. Did you mean 'dp3'?"),
        (["run"], "--method is missing"),
        (["run", "--method", "dp3", "--suite", "metaworld15"], "unknown suite 'metaworld15'. Did you mean"),
        (["run", "--method", "dp3", "--tasks", "reech"], "unknown task 'reech' of metaworld-15. Did you mean 'reach'?"),
        (["run", "--method", "dp3", "--head", "mpl"], "unknown head 'mpl'. Did you mean 'mlp'?"),
        (["run", "--method", "dp3", "--protocol", "claar"], "unknown protocol 'claar'. Did you mean 'clar'?"),
        (["run", "--method", "dp3", "--seeds", "0:0"], "--seeds 0:0: give numbers from 0"),
        (["run", "--method", "dp3", "protocol.epoch=1"], "Did you mean 'protocol.epochs'?"),
        (["run", "--method", "dp3", "--device", "cuda:77"], "cuda"),
        (["run", "--method", "nowhere.py:Mine"], "no file"),
        (["run", "--method", "dp3", "env.metaworld.python=/no/python"], "no program that can be run"),
        (["run", "--method", "dp3", "suite.observation.cameras=[cornr]"], "Did you mean 'corner'?"),
        (["table", "9"], "clar has no table 9"),
        (["table", "1", "--format", "word"], "none of terminal, markdown, latex, csv"),
        (["list", "sweets"], "unknown kind 'sweets'. Did you mean 'suites'?"),
        (["show", "hammr"], "Did you mean 'hammer'?"),
    ],
)
def test_a_wrong_word_is_one_clear_line(
    arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    if "cuda:77" in arguments:
        import torch

        if torch.cuda.is_available():
            pytest.skip("torch sees a CUDA device")
    code, out, err = here(*arguments)
    assert code == 2
    assert message in err
    assert "Traceback" not in err
    assert out == ""
    assert not (tmp_path / "runs").exists(), "stopped before any work"


def test_a_missing_gl_library_is_named_with_its_mend(tmp_path: Path) -> None:
    hide = tmp_path / "sitecustomize.py"
    hide.write_text("import ctypes.util\nctypes.util.find_library = lambda name: None\n")
    code, _, err = bench("run", "--method", "dp3", "--tasks", "reach", cwd=tmp_path, PYTHONPATH=str(tmp_path))
    assert code == 2
    assert "libEGL is not installed" in err
    assert "sudo apt-get install -y libegl1" in err
    code, out, _ = bench("doctor", "--json", cwd=tmp_path, PYTHONPATH=str(tmp_path))
    assert code == 1
    (gl,) = [finding for finding in json.loads(out) if finding["check"] == "GL"]
    assert gl["verdict"] == "fail"
    assert "apt-get install" in gl["mend"]


def test_listing_showing_and_tables_speak_json() -> None:
    _, out, _ = here("list", "--json")
    listed = json.loads(out)
    assert set(listed) == {"suites", "methods", "policies", "tasks", "heads", "protocols", "data"}
    assert len([t for t in listed["tasks"] if t.startswith("metaworld/")]) == 50
    for name in ("dp3", "metaworld-15", "clar", "mlp", "reach", "metaworld", "metaworld-35", "pretrain/clar"):
        code, out, _ = here("show", name, "--json")
        assert code == 0
        assert json.loads(out)
    code, out, _ = here("table", "1", "--json")
    assert json.loads(out)["columns"][0] == "method"


def test_the_command_itself_exits_with_the_code(tmp_path: Path) -> None:
    code, _, err = bench("run", "--method", "dp4", cwd=tmp_path)
    assert (code, err) == (2, "error: unknown method 'dp4'. Did you mean 'dp3'?\n")


@pytest.mark.gl
def test_doctor_finds_nothing_wrong_here(tmp_path: Path) -> None:
    code, out, _ = bench("doctor", cwd=tmp_path)
    assert code == 0, out
    assert "golden frame as it should be" in out


@pytest.mark.sim
def test_dry_run_counts_and_does_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, _ = here("run", "--method", "state", *TINY, "--seeds", "0:2", "--dry-run", "--json")
    assert code == 0
    planned = json.loads(out)
    assert planned["missing"] == 2
    assert planned["rollouts"] == 2 * (2 * 4 + 6)
    assert planned["demonstrations"][0] | {"path": ""} == {"task": "reach", "demos": 4, "there": False, "path": ""}
    assert planned["estimate"]["total_seconds"] >= 0
    words = [*TINY, "--seeds", "0", "--shift", "azimuth=20"]
    words[1] = "metaworld-perspective"
    code, out, err = here("run", "--method", "state", *words, "--dry-run", "--json")
    assert code == 0, err
    planned = json.loads(out)
    assert planned["rollouts_per_cell"]["retest_under"] == {"corner2": 6, "corner@azimuth=20": 6}
    assert planned["rollouts"] == 2 * 4 + 6 + 12
    assert not (tmp_path / "runs").exists()


# -- kill -9 and Ctrl-C in every phase, then the same command again ---------------------------------------------------


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("undisturbed")
    with contextlib.chdir(folder):
        code, _, err = here("run", "--method", "state", *TINY)
    assert code == 0, err
    return the_record(folder)


PHASES: dict[str, Callable[[Path], bool]] = {
    "collection": lambda runs: any(runs.rglob("*.partial/*.npz")),
    "training": lambda runs: any(runs.rglob("observations/*/complete.json")),
    "first rollouts": lambda runs: any(runs.rglob("epoch-0002.pt")),
    "later training": lambda runs: any(runs.rglob("progress.json")),
    "retest": lambda runs: any('"epoch": 4' in p.read_text() for p in runs.rglob("progress.json")),
}


@pytest.mark.sim
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT], ids=["kill -9", "Ctrl-C"])
def test_killed_in_every_phase_it_ends_with_the_same_record(
    how: signal.Signals, undisturbed: dict[str, Any], tmp_path: Path
) -> None:
    """One cell, killed five times: each start gets as far as the next phase. Ctrl-C reaches two workers."""
    words = ["run", "--method", "state", *TINY, f"runtime.workers={2 if how == signal.SIGINT else 1}"]
    for phase, reached in PHASES.items():
        assert not reached(tmp_path / "runs"), f"{phase} was reached before it began"
        process = (start if phase == "retest" else warm_start)(*words, cwd=tmp_path)
        deadline = time.monotonic() + 120
        while not reached(tmp_path / "runs") and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.005)
        assert process.poll() is None, (phase, process.communicate())
        if how == signal.SIGINT:
            os.killpg(process.pid, how)  # a terminal's Ctrl-C reaches the workers as well
        else:
            process.kill()
        _, err = process.communicate(timeout=60)
        assert not list((tmp_path / "runs").rglob("records/**/*.json")), f"{phase}: killed too late to show anything"
        if how == signal.SIGINT:
            assert process.returncode == 130, phase
            assert "the same command goes on" in err, phase
            assert "Traceback" not in err, (phase, err)
    code, _, err = warm_bench(*words, cwd=tmp_path)
    assert code == 0, err
    assert the_record(tmp_path) == undisturbed


@pytest.mark.gl
def test_killed_while_rendering_and_with_one_worker_the_record_is_the_same(tmp_path: Path) -> None:
    """Points, so that rendering, workers' scheduling and the trained encoder are all in it."""
    few = ["protocol.horizon=60", "protocol.epochs=2", "protocol.rollouts=2", "protocol.retest_rollouts=3"]
    short = [*TINY[:-1], *few, "suite.observation.height=112", "suite.observation.width=112"]
    (tmp_path / "a").mkdir()
    with contextlib.chdir(tmp_path / "a"):
        code, _, err = here("run", "--method", "dp3", *short, "runtime.workers=3")
    assert code == 0, err
    other = tmp_path / "b"
    other.mkdir()
    process = warm_start("run", "--method", "dp3", *short, "runtime.workers=1", cwd=other)
    while not any((other / "runs").rglob("done.json")) and process.poll() is None:
        time.sleep(0.005)
    process.kill()
    process.communicate()
    code, _, err = warm_bench("run", "--method", "dp3", *short, "runtime.workers=1", cwd=other)
    assert code == 0, err
    assert the_record(other) == the_record(tmp_path / "a")


@pytest.mark.sim
def test_two_processes_on_one_cell(
    undisturbed: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    first = warm_start("run", "--method", "state", *TINY, cwd=tmp_path)
    while not any((tmp_path / "runs").rglob("lock.holder")) and first.poll() is None:
        time.sleep(0.005)
    code, out, _ = here("run", "--method", "state", *TINY)
    assert code == 3
    assert f"is being worked on by process {first.pid}" in out
    assert first.wait(120) == 0
    assert the_record(tmp_path) == undisturbed
    code, out, _ = here("run", "--method", "state", *TINY)
    assert code == 0
    assert "(up to date, not re-run)" in out


@pytest.mark.sim
def test_a_failed_cell_leaves_its_traceback_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    broken = tmp_path / "broken.py"
    broken.write_text(
        "from methods.controls import ProprioOnly\nfrom methods.card import MethodCard\nimport dataclasses\n"
        "class Broken(ProprioOnly):\n"
        "    card = dataclasses.replace(ProprioOnly.card, name='broken')\n"
        "    def encode(self, observations):\n        raise RuntimeError('the encoder is broken')\n"
    )
    code, out, _ = here("run", "--method", f"{broken}:Broken,proprio-only", *TINY, "--json")
    assert code == 2, "the user's own code, found before any work"
    outcome = json.loads(out)
    assert [c["method"] for c in outcome["cells"]] == ["proprio-only"]
    (failed,) = outcome["failed"]
    assert "the encoder is broken" in failed["error"]
    (trace,) = (tmp_path / "runs").rglob("error.txt")
    assert "in encode" in trace.read_text()


def installed_files(*wanted: str) -> list[Path]:
    """The folders and files that these distributions, and all that they require, have in site-packages here."""
    waiting, known, found = [Requirement(text) for text in wanted], set(), []
    while waiting:
        requirement = waiting.pop()
        if str(requirement) in known:
            continue
        known.add(str(requirement))
        distribution = importlib.metadata.distribution(requirement.name)
        tops = {file.parts[0] for file in distribution.files or []} - {"..", "__pycache__"}
        found += [Path(str(distribution.locate_file(top))) for top in sorted(tops)]
        for text in distribution.requires or []:
            further = Requirement(text)
            extras = requirement.extras or {""}
            if further.marker is None or any(further.marker.evaluate({"extra": extra}) for extra in extras):
                waiting.append(further)
    return found


@pytest.mark.sim
def test_workers_in_another_interpreter_without_torch(
    undisturbed: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second virtual environment that holds numpy and metaworld (and fpsample for clouds), and no torch."""
    monkeypatch.chdir(tmp_path)
    other = tmp_path / "other"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(other)], check=True)
    python = other / "bin" / "python"
    (packages,) = other.glob("lib/python*/site-packages")
    for entry in installed_files("metaworld", "gymnasium[mujoco]", "fpsample"):
        if not (packages / entry.name).exists():
            (packages / entry.name).symlink_to(entry)
    assert subprocess.run([str(python), "-c", "import torch"], capture_output=True).returncode != 0
    code, _, err = here("run", "--method", "state", *TINY, f"env.metaworld.python={python}")
    assert code == 0, err
    assert the_record(tmp_path) == undisturbed
    code, _, err = here(
        "run",
        "--method",
        "random-features",
        *TINY,
        "protocol.train_demos=2",
        "protocol.horizon=40",
        "protocol.epochs=2",
        "protocol.rollouts=2",
        "protocol.retest_rollouts=2",
        f"env.metaworld.python={python}",
        "--out",
        "points",
    )
    assert code == 0, err
