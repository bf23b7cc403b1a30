"""Tables know that a user's method was edited since its record was made."""

from __future__ import annotations

import shlex
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmark.cli.options import say_edited
from benchmark.experiment.method_source import edited_since, keep_source, source_folder

TEXTS = {"mine.py": "import helper\nA = 1\n", "helper.py": "B = 2\n"}
COMMAND = "bench run --suite metaworld-15 --method dp3,mine.py:Mine --protocol quick"


@pytest.fixture
def record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A method's record with its source beside it, seen from the folder that the method's files are in."""
    monkeypatch.chdir(tmp_path)
    for name, text in TEXTS.items():
        Path(name).write_text(text)
    path = tmp_path / "runs" / "mlp-s0.json"
    keep_source(TEXTS, source_folder(path))
    return path


def test_what_was_edited_is_named(record: Path) -> None:
    assert edited_since(record, COMMAND) == []
    Path("helper.py").write_text("B = 3\n")
    assert edited_since(record, COMMAND) == ["helper.py"]
    Path("helper.py").unlink()
    Path("mine.py").write_text("raise SystemExit('nothing is run')\n")
    assert edited_since(record, COMMAND) == ["helper.py", "mine.py"]


def test_by_its_path(record: Path) -> None:
    Path("mine.py").write_text("A = 2\n")
    assert edited_since(record, f"bench run --method {shlex.quote(str(Path.cwd()))}/mine.py:Mine") == ["mine.py"]


@pytest.mark.parametrize(
    "command", ["", "bench run --method dp3", "bench run --method 'mine.py:Mine", "x other.py:Mine"]
)
def test_what_cannot_be_told_is_not_said(record: Path, command: str) -> None:
    Path("mine.py").write_text("A = 2\n")
    Path("other.py").write_text("")
    assert edited_since(record, command) == []


def test_a_file_that_is_not_here_is_not_judged(record: Path) -> None:
    Path("mine.py").unlink()
    assert edited_since(record, COMMAND) == []


def test_a_shipped_method_has_no_source(tmp_path: Path) -> None:
    assert edited_since(tmp_path / "mlp-s0.json", COMMAND) == []


def test_it_is_said_once_for_each_method(record: Path, capsys: pytest.CaptureFixture[str]) -> None:
    placed = [(record, SimpleNamespace(method="mine", provenance={"command": COMMAND}))] * 2
    say_edited(placed)
    assert "changed" not in capsys.readouterr().err
    Path("mine.py").write_text("A = 2\n")
    say_edited(placed)
    said = " ".join(capsys.readouterr().err.split())
    assert said.count("mine.py has changed since the records of mine were made") == 1
