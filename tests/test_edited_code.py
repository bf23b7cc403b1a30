"""Somebody edits a method and runs again: no number of the old code comes back under the new one's name."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import TOY
from tests.test_cli import here
from tests.warm_bench import warm_bench

pytestmark = pytest.mark.slow  # most commands are processes of their own
MINE = """
import torch
from methods.base import Representation
from methods.card import MethodCard, VectorInput
from shared_net import width


class Mine(Representation):
    card = MethodCard(
        name="mine", title="Mine", summary="a linear layer", kind="control", observes=("ground_truth",),
        input=VectorInput("ground_truth", "none"), training="end-to-end", batch="3d", paper="none", licence="MIT",
    )
    feature_dim = 8

    def __init__(self, specs):
        super().__init__(specs)
        self.network = torch.nn.Linear(4, 8)

    def encode(self, observations):
        return self.network(observations["ground_truth"]) * width
"""
TINY = [
    "--suite",
    "metaworld-15",
    "--protocol",
    "quick",
    "--tasks",
    "near",
    f"suite.env={TOY}",
    "suite.tasks.easy=[near]",
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


def bench(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.CompletedProcess(words, *warm_bench(*words, cwd=folder, COLUMNS="200"))


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return bench(folder, "run", *TINY, *words)


def records(folder: Path) -> list[dict]:
    return [json.loads(path.read_text()) for path in sorted((folder / "runs/records").rglob("mlp*-s*.json"))]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "mine.py").write_text(MINE)
    (tmp_path / "shared_net.py").write_text("width = 1.0\n")
    return tmp_path


def test_an_edited_method_stops_and_says_what_changed(place: Path) -> None:
    first = run(place, "--method", "mine.py:Mine")
    assert first.returncode == 0, first.stderr
    assert "(up to date, not re-run)" in run(place, "--method", "mine.py:Mine").stdout
    (before,) = records(place)
    (kept,) = (place / "runs/records").rglob("mlp-s0.source")
    assert (kept / "mine.py").read_text() == MINE and (kept / "shared_net.py").read_text() == "width = 1.0\n"

    (place / "shared_net.py").write_text("width = 2.0\n")  # a module that the file imports, of the same length
    second = run(place, "--method", "mine.py:Mine")
    assert second.returncode == 1 and "(up to date, not re-run)" not in second.stdout
    for words in ("shared_net.py changed since", "-width = 1.0", "+width = 2.0", "--overwrite", "another name"):
        assert words in second.stdout + second.stderr, words
    assert records(place) == [before], "the old record is untouched"

    third = run(place, "--method", "mine.py:Mine", "--overwrite")
    assert third.returncode == 0, third.stderr
    (after,) = records(place)
    assert after["training"]["train_loss"] != before["training"]["train_loss"]
    assert after["identity"]["method"]["source"] != before["identity"]["method"]["source"]
    assert (kept / "shared_net.py").read_text() == "width = 2.0\n"
    assert "(up to date, not re-run)" in run(place, "--method", "mine.py:Mine").stdout


def test_half_finished_work_is_never_continued_by_other_code(place: Path) -> None:
    """Killed before its first evaluation: a checkpoint of the old code must not be trained on by the new."""
    assert run(place, "--method", "mine.py:Mine").returncode == 0
    (path,) = (place / "runs/records").rglob("mlp-s0.json")
    path.unlink()
    (work,) = (place / "runs/work").rglob("progress.json")
    work.unlink()  # as if it had not come to an evaluation
    (place / "mine.py").write_text(MINE.replace("* width", "* width * 3"))
    done = run(place, "--method", "mine.py:Mine")
    assert done.returncode == 1 and not path.exists()
    assert "mine.py changed since the half-finished work in" in done.stdout + done.stderr
    assert run(place, "--method", "mine.py:Mine", "--overwrite").returncode == 0 and path.exists()


def test_two_files_may_not_mean_two_modules_by_one_name(place: Path) -> None:
    other = place / "other"
    other.mkdir()
    (other / "mine.py").write_text(MINE.replace('name="mine"', 'name="theirs"'))
    (other / "shared_net.py").write_text("width = 5.0\n")
    done = run(place, "--method", "mine.py:Mine,other/mine.py:Mine")
    assert done.returncode == 2 and "'import shared_net' means" in done.stderr, done.stderr
    assert run(place, "--method", "other/mine.py:Mine").returncode == 0


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('name="mine"', 'name="dp3"', "which is a registered method"),
        ('name="mine"', 'name="CLAR"', "which is a registered method"),
        ('name="mine"', 'name="clar+weights=x"', "it is letters, digits"),
        ('name="mine"', 'name="../x"', "it is letters, digits"),
        ('licence="MIT"', 'licence="MIT", reported_as="CLAR"', "rows of the papers' tables belong to the methods"),
        ("from shared_net import width", "import nowhere", "cannot be imported: ModuleNotFoundError"),
        ("from shared_net import width", "raise SystemExit(0)", "cannot be imported: SystemExit"),
        ("from shared_net import width", "def (", "cannot be imported: SyntaxError"),
    ],
)
def test_a_file_that_borrows_a_name_or_is_broken_is_one_line(place: Path, old: str, new: str, words: str) -> None:
    (place / "mine.py").write_text(MINE.replace(old, new))
    done = run(place, "--method", "mine.py:Mine")
    assert done.returncode == 2 and words in done.stderr and "Traceback" not in done.stderr, done.stderr
    assert not list((place / "runs").rglob("*.hdf5")), "before any demonstration is collected"


def test_two_classes_are_two_methods_or_refused(place: Path) -> None:
    """The second one's number was the first one's, `was there`."""
    body = "    def encode(self, observations):\n        return 0 * super().encode(observations)\n"
    with (place / "mine.py").open("a") as file:
        file.write(f"\n\nclass Other(Mine):\n{body}")
    done = run(place, "--method", "mine.py:Mine,mine.py:Other")
    assert done.returncode == 2 and "mine.py:Other has no card of its own, only Mine's" in done.stderr, done.stderr
    with (place / "mine.py").open("a") as file:
        file.write("    card = Mine.card\n")
    done = run(place, "--method", "mine.py:Mine,mine.py:Other")
    assert done.returncode == 2 and "are both called mine" in done.stderr, done.stderr
    assert run(place, "--method", "mine.py:Mine").returncode == 0
    done = run(place, "--method", "mine.py:Other")
    assert done.returncode == 1 and "(up to date, not re-run)" not in done.stdout and len(records(place)) == 1


def test_a_simulator_that_is_edited_during_the_run_stops_it(tmp_path: Path) -> None:
    shutil.copy(Path(TOY.rpartition(":")[0]), tmp_path / "sim.py")
    edit = "sim = pathlib.Path('sim.py')\n        sim.write_text(sim.read_text() + '# later\\n')"
    text = MINE.replace("from shared_net import width", "import pathlib\n\nwidth = 1.0")
    built = "super().__init__(specs)"
    (tmp_path / "edits.py").write_text(text.replace(built, f"{built}\n        {edit}"))
    done = run(tmp_path, "--method", "edits.py:Mine", f"suite.env={tmp_path / 'sim.py'}:Toy")
    assert done.returncode == 1 and "sim.py was edited during the run" in done.stdout + done.stderr, done.stderr
    assert not records(tmp_path) if (tmp_path / "runs/records").exists() else True


def test_a_changed_protocol_head_or_precision_is_in_the_name(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    assert here("run", *TINY, "--method", "state", "head.hidden=[16]", "runtime.precision=bf16")[0] == 0
    assert here("run", *TINY, "--method", "state", "--seeds", "1")[0] == 0
    found = {(r["protocol"].partition("+")[0], r["head"], r["seed"]): r["protocol"] for r in records(place)}
    assert set(found) == {("quick", "mlp+hidden=16", 0), ("quick", "mlp", 1)}
    assert found["quick", "mlp+hidden=16", 0] != found["quick", "mlp", 1], "the precision is in it"
    table = bench(place, "table", "1", "--protocol", "quick")
    assert table.stdout.count("1 record under quick+") == 2 and "state, mlp" not in table.stdout, table.stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--method", "state", "protocol.name=clar"), "a protocol is chosen with --protocol"),
        (("--method", "state", "protocol=clar"), "a protocol is chosen with --protocol"),
        (("--method", "state", "suite.name=x"), "a suite is chosen with --suite"),
        (("--method", "dp3-policy", "--head", "bnmlp"), "dp3-policy brings its own head, dp3"),
        (("--method", "dp3-policy", "head.hidden=[16]"), "dp3-policy brings its own head, dp3"),
    ],
)
def test_names_are_not_free(
    words: tuple[str, ...], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, _, err = here("run", "--suite", "metaworld-15", "--protocol", "quick", *words)
    assert code == 2 and message in err, err
