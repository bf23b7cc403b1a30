"""`bench new method`: what it writes passes its own test, is clean, and runs; it overwrites and borrows nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from benchmark.cli.main import app
from benchmark.encoders.new_method import KINDS, new_method
from benchmark.experiment.make_cells import make_cells
from benchmark.experiment.run_cell import run_cell
from benchmark.records.paths import Paths
from benchmark.settings.load import load_settings
from tests.test_methods_run import FAST, SHORT

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
LONG = "a-name-of-forty-characters-which-is-long"


def bench(*words: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, list(words), env={"COLUMNS": "160"})
    return done.exit_code, done.stdout, done.stderr


@pytest.mark.parametrize("kind", KINDS)
def test_its_contract_test_passes_as_written(kind: str, tmp_path: Path) -> None:
    code, out, err = bench("new", "method", "my-own", f"--{kind}", "--to", str(tmp_path))
    assert (code, err) == (0, "")
    assert f"bench run --suite metaworld-15 --tasks reach --protocol quick --method {tmp_path}/my_own.py:MyOwn" in out
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_my_own.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    assert "10 passed" in done.stdout


@pytest.mark.parametrize("name", ["my-own", LONG])
def test_what_it_writes_is_clean(name: str, tmp_path: Path) -> None:
    """By ruff's own rules, and by this project's where the file lies in it."""
    for kind in KINDS:
        new_method(f"{name[:-1]}{kind[0]}", kind, tmp_path)
    ruff = [sys.executable, "-m", "ruff"]
    ours = ["--config", str(ROOT / "pyproject.toml"), "--config", "lint.isort.known-first-party=['envs', 'methods']"]
    for words in (["check", "--isolated"], ["check", *ours], ["format", "--check", *ours]):
        done = subprocess.run([*ruff, *words, "--no-cache", str(tmp_path)], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout


@pytest.mark.gl
@pytest.mark.parametrize("kind", KINDS)
def test_it_runs(kind: str, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    made = new_method("my-own", kind, tmp_path)
    settings = load_settings("metaworld-15", "quick", "mlp", [*SHORT, *FAST])
    method = str(made.file.parent / made.target)
    (cell,) = make_cells(settings, ["reach"], [method], [0], "random" if kind == "frozen" else None)
    record, _ = run_cell(cell, Paths(tmp_path, tmp_path_factory.getbasetemp() / "demos"), "test")
    assert record.errors == 0
    assert record.method.startswith("my-own")


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    for taken in ("mine.py", "test_mine.py"):
        (tmp_path / taken).write_text("mine")
        code, _, err = bench("new", "method", "mine", "--rgb", "--to", str(tmp_path))
        assert code == 2
        assert f"{taken} is there already, and nothing is overwritten" in err
        assert [file.name for file in tmp_path.iterdir()] == [taken]
        (tmp_path / taken).unlink()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["my/own", "--rgb"], "names files and folders: give 1 to 40 of"),
        ([LONG + "r", "--rgb"], "give 1 to 40 of"),
        (["3d", "--rgb"], "give a name that begins with a letter"),
        (["DP3", "--rgb"], "DP3 is a registered method"),
        (["torch", "--rgb"], "torch.py would hide the Python module torch"),
        (["json", "--rgb"], "json.py would hide the Python module json"),
        (["none", "--rgb"], None),
        (["mine"], "one of --rgb, --points and --frozen"),
        (["mine", "--rgb", "--points"], "one of --rgb, --points and --frozen"),
        (["mine", "--rgb", "--to", "nowhere"], "nowhere is no folder"),
    ],
)
def test_names_that_cannot_be(
    words: list[str], message: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = bench("new", "method", *words)
    if message is None:  # the class would be a word of the language
        assert code == 0
        assert "none.py:NoneMethod" in out
        return
    assert code == 2
    assert message in err
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_it_speaks_json(tmp_path: Path) -> None:
    code, out, _ = bench("new", "method", "card", "--points", "--to", str(tmp_path), "--json")
    assert code == 0
    assert json.loads(out) == {
        "name": "card",
        "class": "Card",
        "file": str(tmp_path / "card.py"),
        "test": str(tmp_path / "test_card.py"),
    }
