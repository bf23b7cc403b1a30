"""The wheel works where the checkout is not: an environment with the dependencies and nothing else of ours."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("envs", "methods", "baselines", "benchmark", "repbench")
TINY = (
    "train_demos=1",
    "valid_demos=1",
    "horizon=100",
    "epochs=1",
    "evaluate_every=1",
    "rollouts=1",
    "retest_rollouts=1",
)

pytestmark = [pytest.mark.slow, pytest.mark.sim, pytest.mark.gl]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built as a user would. What builds it (hatchling) is fetched; without a network the tests skip."""
    folder = tmp_path_factory.mktemp("wheel")
    done = subprocess.run(
        [sys.executable, "-m", "pip", "wheel", ".", "--no-deps", "-q", "-w", str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    if done.returncode and "hatchling" in done.stderr and "No matching distribution" in done.stderr:
        pytest.skip("hatchling, which builds the wheel, cannot be fetched")
    assert done.returncode == 0, done.stderr
    (found,) = folder.glob("repbench-*.whl")
    return found


@pytest.fixture(scope="module")
def bench(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """`bench` of a new environment. It sees this one's packages, but for repbench: torch is not fetched again."""
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    (site,) = folder.glob("lib/python*/site-packages")
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index", "--no-compile"),
            *("--target", str(site), str(wheel)),
        ],
        check=True,
    )
    # a folder that is named so is searched last, and its .pth files are not read: one of them leads to the checkout
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return [str(folder / "bin" / "python"), "-m", "benchmark"]


def run(bench: list[str], folder: Path, *words: str) -> str:
    env = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "BENCH_CONFIG")}
    done = subprocess.run(
        [*bench, *words], cwd=folder, env=env | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_all_that_is_tracked_is_in_it(wheel: Path) -> None:
    tracked = subprocess.run(["git", "ls-files", "-z", *PACKAGES], cwd=ROOT, capture_output=True, text=True)
    if tracked.returncode:
        pytest.skip("this is no git checkout, so nobody says which files there should be")
    names = set(zipfile.ZipFile(wheel).namelist())
    wanted = {name for name in tracked.stdout.split("\0") if name and (ROOT / name).exists()}
    assert sorted(wanted - names) == []
    for kind in ("reported", "measured"):
        results = {
            f.relative_to(ROOT / "results").as_posix() for f in (ROOT / "results" / kind).rglob("*") if f.is_file()
        }
        assert sorted(f"benchmark/{name}" for name in results if f"benchmark/{name}" not in names) == []
    assert not [name for name in names if name.startswith(("tests/", "docs/", "scripts/"))]


def test_it_works_without_the_checkout(bench: list[str], tmp_path: Path) -> None:
    said = run(bench, tmp_path, "doctor")
    assert str(Path(bench[0]).parents[1]) in said and str(ROOT) not in said
    settings = [*(f"protocol.{one}" for one in TINY), "runtime.workers=1"]
    cell = ["--suite", "metaworld-15", "--tasks", "reach", "--method", "state", "--protocol", "quick"]
    run(bench, tmp_path, "run", *cell, *settings)
    assert len(list((tmp_path / "runs/records").rglob("*.json"))) == 1
    assert "DP3" in run(bench, tmp_path, "table", "1", "--with-reference", "--records", "runs/records")
    run(bench, tmp_path, "report")
    assert (tmp_path / "report/index.html").exists()
    run(bench, tmp_path, "new", "method", "mine", "--points")
    assert (tmp_path / "mine.py").exists()
