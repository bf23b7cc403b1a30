"""`repbench.run` does what `bench run` does, and says it as a frame."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

import repbench
from benchmark.cli.main import app
from benchmark.records.frame import COLUMNS
from benchmark.system.errors import ConfigError
from envs.registry import UnknownName, load_from_file
from methods.controls import ProprioOnly, State
from methods.registry import BadMethod
from repbench.method_names import method_names
from repbench.runs import CellsFailed
from tests.conftest import TOY

ROOT = Path(__file__).resolve().parents[2]
TINY = [
    f"suite.env={TOY}",
    "suite.tasks.easy=[near,far]",
    "suite.observation.cameras=[front]",
    "protocol.train_demos=2",
    "protocol.valid_demos=1",
    "protocol.horizon=20",
    "protocol.min_success_steps=0",
    "protocol.epochs=2",
    "protocol.evaluate_every=1",
    "protocol.rollouts=2",
    "protocol.retest_rollouts=3",
    "runtime.workers=1",
    "runtime.threads=1",
]
MINE = """
import torch
from repbench import MethodCard, Representation


class Mine(Representation):
    card = MethodCard(
        name="mine", title="Mine", summary="a linear layer", kind="control", observes=("ground_truth",),
        input=None, training="end-to-end", batch="3d", paper="none", licence="MIT",
    )
    feature_dim = 8

    def __init__(self, specs):
        super().__init__(specs)
        self.network = torch.nn.Linear(4, 8)

    def encode(self, observations):
        return self.network(observations["ground_truth"])
"""


def run(out: Path, **said: Any) -> Any:
    return repbench.run(**{"protocol": "quick", "overrides": TINY, "tasks": "near", "out": out} | said)


@pytest.mark.slow
def test_it_is_the_experiment_of_the_command_and_finds_its_records(tmp_path: Path) -> None:
    found = run(tmp_path, method="state", seeds=range(2))
    assert list(found.columns) == list(COLUMNS) and set(found["seed"]) == {0, 1}
    assert found["kind"].tolist() == ["evaluation", "evaluation", "retest"] * 2
    files = set(found["file"])
    told = {path: (path.stat().st_mtime_ns, json.loads(path.read_text())) for path in map(Path, files)}
    for _, record in told.values():
        assert record["provenance"]["command"].startswith("repbench.run(suite='metaworld-15', method=['state']")
    words = ["run", "--protocol", "quick", "--method", "state", "--tasks", "near", "--seeds", "0:2"]
    done = CliRunner().invoke(app, [*words, "--out", str(tmp_path), "--json", *TINY])
    assert done.exit_code == 0, done.stderr
    cells = json.loads(done.stdout)["cells"]
    assert {cell["record"] for cell in cells} == files and not any(cell["computed_now"] for cell in cells)
    again = run(tmp_path, method=State, seeds=[1])
    assert again["seed"].unique().tolist() == [1], "the rows of these cells alone"
    assert {path: path.stat().st_mtime_ns for path in told} == {path: time for path, (time, _) in told.items()}
    assert set(repbench.load_records(tmp_path)["identity_hash"]) == set(found["identity_hash"])


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device, so that asking for one is no error")
def test_the_default_device_takes_no_override_back(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="torch sees no CUDA device"):
        run(tmp_path, method="state", overrides=[*TINY, "runtime.device=cuda"])


@pytest.mark.slow
def test_a_class_in_a_file_is_named_by_its_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(MINE)
    kind = load_from_file(f"{file}:Mine")
    assert method_names(kind) == [f"{file}:Mine"]
    found = run(tmp_path / "runs", method=kind)
    assert set(found["method"]) == {"mine"}
    record = json.loads(Path(found["file"].iloc[0]).read_text())
    assert record["identity"]["method"]["source"]
    assert (Path(found["file"].iloc[0]).with_suffix(".source") / "mine.py").read_text() == MINE


def test_shipped_classes_have_their_names() -> None:
    from benchmark.settings.catalog import register_baselines

    register_baselines()
    from baselines.clip import CLIP

    assert method_names([State, "dp3", ProprioOnly, CLIP, State]) == ["state", "dp3", "proprio-only", "clip"]


@pytest.mark.slow
def test_code_that_no_record_could_name_is_refused_with_the_reason(tmp_path: Path) -> None:
    class Inner(State):
        pass

    with pytest.raises(ConfigError, match=r"Inner does not stand at the top level of .*test_runs\.py, and a record"):
        method_names(Inner)
    made = type("Made", (State,), {"__module__": __name__})
    with pytest.raises(ConfigError, match="does not stand at the top level"):
        method_names(made)
    with pytest.raises(ConfigError, match="neither a name nor a subclass"):
        method_names(int)  # type: ignore[arg-type]
    code = "import repbench\nclass Mine(repbench.Representation):\n    pass\nrepbench.run(method=Mine)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, env={"PYTHONPATH": str(ROOT)}
    )
    assert "ConfigError: Mine was made in a notebook's cell or at a prompt" in done.stderr, done.stderr
    assert "a record must be able to name the code" in done.stderr and not (tmp_path / "runs").exists()


@pytest.mark.slow
def test_failed_cells_are_all_named_after_the_others_are_done(tmp_path: Path) -> None:
    bad = tmp_path / "bad.py"
    text = MINE.replace('name="mine"', 'name="bad"').replace("class Mine", "class Bad")
    bad.write_text(
        text.replace("        return self.network", "        raise ValueError('broken')\n        return self.network")
    )
    with pytest.raises(CellsFailed) as caught:
        run(tmp_path / "runs", method=[f"{bad}:Bad", "state"], tasks=["near", "far"])
    error = caught.value
    assert len(error.failed) == 2 and "2 of 4 cells without a record" in str(error)
    for task in ("near", "far"):
        assert f"/{task}/bad/mlp-s0 failed: " in str(error)
    for file in (tmp_path / "runs" / "work").rglob("error.txt"):
        assert f"(traceback: {file})" in str(error)
    assert set(error.finished["task"]) == {"near", "far"} and set(error.finished["method"]) == {"state"}


@pytest.mark.slow
def test_a_script_that_runs_itself_again_is_stopped(tmp_path: Path) -> None:
    """The method's file is loaded by `run`; what it does outside of `__main__` would be a run inside of it."""
    script = tmp_path / "script.py"
    script.write_text(MINE + f"\nimport repbench\nrepbench.run(method=Mine, protocol='quick', overrides={TINY!r})\n")
    done = subprocess.run(
        [sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True, env={"PYTHONPATH": str(ROOT)}
    )
    assert "__name__ == '__main__'" in done.stderr and "BadMethod" in done.stderr, done.stderr
    assert not list(tmp_path.rglob("*.json"))


def test_two_threads_do_not_run_at_once(tmp_path: Path) -> None:
    from repbench.runs import _busy

    said: list[str] = []

    def second() -> None:
        with pytest.raises(ConfigError) as caught:
            run(tmp_path, method="state")
        said.append(str(caught.value))

    with _busy:
        other = threading.Thread(target=second)
        other.start()
        other.join()
    assert "while another one is at work" in said[0]


@pytest.mark.parametrize(
    ("said", "error", "text"),
    [
        ({"method": ()}, ConfigError, "no method"),
        ({"method": "stat"}, UnknownName, "Did you mean 'state'"),
        ({"method": "state", "tasks": []}, ConfigError, "names no task"),
        ({"method": "state", "tasks": "nearer"}, UnknownName, "Did you mean 'near'"),
        ({"method": "state", "seeds": ()}, ConfigError, "names no training seed"),
        ({"method": "state", "seeds": -1}, ConfigError, "-1 is no whole number"),
        ({"method": "state", "seeds": [True]}, ConfigError, "True is no whole number"),
        ({"method": "state", "device": "tpu"}, ConfigError, "tpu is none of"),
        ({"method": "state", "suite": "metaworld"}, UnknownName, "unknown suite"),
        ({"method": "absent.py:Mine"}, FileNotFoundError, "no file"),
        ({"method": __file__ + ":TINY"}, BadMethod, "not a class"),
    ],
)
def test_what_can_be_mended_is_said_before_any_work(
    said: dict[str, Any], error: type[Exception], text: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=text):
        run(tmp_path / "runs", **said)
    assert not (tmp_path / "runs").exists()
