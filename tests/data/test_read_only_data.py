"""A data folder that can only be read: what is whole there is used, what has to be made goes to OUT/data.

The folder is really not writable: a mount for reading only, which root cannot write to either, and another user's.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from tests import damage
from tests.conftest import TOY
from tests.test_cli import here

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
WHAT = [
    "run",
    "--protocol",
    "quick",
    "--tasks",
    "near",
    f"suite.env={TOY}",
    "suite.observation.cameras=[front]",
    "suite.tasks.easy=[near,far]",
    "protocol.train_demos=3",
    "protocol.valid_demos=1",
    "protocol.horizon=60",
    "protocol.epochs=1",
    "protocol.evaluate_every=1",
    "protocol.rollouts=1",
    "protocol.retest_rollouts=1",
    "runtime.workers=1",
    "runtime.threads=1",
    "--data",
    "data",
    "--method",
    f"{ROOT / 'tests' / 'frozen_toy.py'}:FrozenToy",
    "--weights",
    "toy.pt",
]
MOUNTED = [
    "unshare",
    *([] if os.geteuid() == 0 else ["-r"]),
    "-m",
    "sh",
    "-c",
    'mount --bind data data && mount -o remount,ro,bind data && exec "$@"',
    "sh",
]
"""A command's prefix: for it alone `data` is mounted for reading only."""


ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "160"}


def start(command: list[str], cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=cwd, env=ENVIRONMENT, capture_output=True, text=True, timeout=300)


def bench(cwd: Path, out: str) -> subprocess.CompletedProcess[str]:
    return start([*MOUNTED, sys.executable, "-m", "benchmark.cli", *WHAT, "--out", out], cwd)


def ran(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, done.stderr
    return done.stderr


def content(folder: Path) -> dict[str, tuple[int, int]]:
    return {str(p.relative_to(folder)): (p.stat().st_mtime_ns, p.stat().st_size) for p in folder.rglob("*")}


def losses(home: Path, out: str) -> list[float]:
    (file,) = (home / out / "records").rglob("*-s0.json")
    return list(json.loads(file.read_text())["training"]["train_loss"])


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `data`, all that a cell needs, and `first`, where the cell was run."""
    home = tmp_path_factory.mktemp("made")
    torch.save(torch.nn.Sequential(torch.nn.Linear(4, 16)).state_dict(), home / "toy.pt")
    (home / "data").mkdir()
    tried = start([*MOUNTED, "touch", "data/file"], home)
    if "Read-only file system" not in tried.stderr:
        pytest.skip(f"no mount for reading only can be made here: {tried.stderr.strip()}")
    with contextlib.chdir(home):
        code, _, err = here(*WHAT, "--out", "first")
    assert code == 0, err
    return home


@pytest.fixture
def home(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made, tmp_path / "home")
    return tmp_path / "home"


def test_what_is_whole_is_used_without_writing(home: Path) -> None:
    for lock in (home / "data").rglob("*.lock"):
        lock.unlink()  # as after a copy that left them out
    before = content(home / "data")
    assert "cannot be written" not in ran(bench(home, "second"))
    assert losses(home, "second") == losses(home, "first")
    assert content(home / "data") == before and not (home / "second" / "data").exists()


def test_what_is_missing_or_damaged_goes_to_out(home: Path) -> None:
    (observations,) = [p for p in (home / "data" / "observations").iterdir() if p.is_dir()]
    damage.flip(observations / "ground_truth.npy")
    damage.delete(home / "data" / "features")
    before = content(home / "data")
    said = ran(bench(home, "second"))
    line = "data cannot be written (Read-only file system): what is rendered and encoded now is kept in second/data"
    assert said.count("cannot be written") == said.count(line) == 1, said
    assert "is damaged (ground_truth.npy: demonstration 3)" in said
    assert losses(home, "second") == losses(home, "first")
    assert content(home / "data") == before
    here = {path.parent.parent.name for path in (home / "second" / "data").rglob("complete.json")}
    assert here == {"observations", "features"}
    shutil.rmtree(home / "second" / "records")
    again = ran(bench(home, "second"))
    assert "cannot be written" not in again and "is damaged" not in again, "it is found where it was made"


@pytest.mark.parametrize("harm", [damage.delete, damage.truncate])
def test_demonstrations_that_are_not_there_are_an_error_with_its_mend(harm: Callable[[Path], None], home: Path) -> None:
    (file,) = (home / "data").rglob("demos/*/*.hdf5")
    harm(file)
    before = content(home / "data")
    done = bench(home, "second")
    assert done.returncode != 0 and "Traceback" not in done.stderr
    state = "is not there" if harm is damage.delete else "is damaged"
    line = (
        f"data/demos/metaworld-15/{file.name} {state}, and data cannot be written (Read-only file system) to collect "
        "it; choose another folder with --data, or run `bench collect` where this one can be written"
    )
    assert line in done.stderr, done.stderr
    assert content(home / "data") == before


@pytest.fixture
def theirs() -> Iterator[Path]:
    """A folder that every user can reach, which pytest's are not, with `out`, where everybody can write."""
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    with tempfile.TemporaryDirectory(prefix="repbench-") as name:
        os.chmod(name, 0o755)
        os.mkdir(f"{name}/out")
        os.chmod(f"{name}/out", 0o777)
        yield Path(name)


@pytest.fixture
def another(theirs: Path, tmp_path: Path) -> Iterator[Callable[[], subprocess.CompletedProcess[str]]]:
    """Takes everything as another user, each time in a process of its own (`tests.reads_as_another`)."""
    command = [sys.executable, "-m", "tests.reads_as_another", "data", "out"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=theirs, env=ENVIRONMENT, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdin is not None and process.stdout is not None
        asks, says = process.stdin, process.stdout

        def take() -> subprocess.CompletedProcess[str]:
            name = tmp_path / f"{len(list(tmp_path.iterdir()))}"
            print(name, file=asks, flush=True)
            code = int(says.readline())
            return subprocess.CompletedProcess(
                command, code, *(Path(f"{name}.{k}").read_text() for k in ("out", "err"))
            )

        yield take
        asks.close()


def test_another_users_data(theirs: Path, another: Callable[[], subprocess.CompletedProcess[str]]) -> None:
    first = another()
    assert "cannot be written" not in ran(first) and not list((theirs / "out").iterdir())
    files = list((theirs / "data").glob("*/*/*.npy"))
    for file in files:
        damage.flip(file)
    before = content(theirs / "data")
    second = another()
    line = "data cannot be written (Permission denied): what is rendered and encoded now is kept in out/data"
    assert ran(second).count(line) == 1 == second.stderr.count("cannot be written")
    assert second.stderr.count("is damaged (") == 2
    assert second.stdout == first.stdout and content(theirs / "data") == before
    for file in files:
        file.chmod(0o600)  # not even to be read
    assert another().stdout == first.stdout
    (demos,) = (theirs / "data").rglob("*.hdf5")
    demos.chmod(0o600)
    refused = another()
    line = f"{demos.relative_to(theirs)} cannot be read (Permission denied); choose another with --data"
    assert refused.returncode and refused.stderr.splitlines()[-1] == f"ReadOnly: {line}"
    assert demos.exists(), "it is not damaged"
    demos.unlink()
    refused = another()
    assert "is not there, and data cannot be written (Permission denied) to collect it" in refused.stderr
