"""Which workers of the tests are forks, and which begin as in a run."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from envs.pool import EnvConfig, Pool
from envs.spec import ObservationRequest
from tests.conftest import TOY
from tests.forking import Forked

pytestmark = pytest.mark.slow
MINE = """
import os, pathlib, runpy

class Mine(runpy.run_path({toy!r})["Toy"]):
    def __init__(self, *arguments):
        super().__init__(*arguments)
        pathlib.Path("here").write_text(os.environ["SAID"])
"""
CONFIG = EnvConfig(TOY, "near", ObservationRequest(("proprio",)))


def test_a_worker_is_a_fork_that_says_how_it_ended() -> None:
    with Pool(CONFIG, 1) as pool:
        started = pool.workers[0].process
        assert isinstance(started, Forked)
    assert started.returncode == 0


def test_it_takes_the_environment_and_the_folder_of_the_test(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(MINE.format(toy=TOY.split(":")[0]))
    config = replace(CONFIG, name=f"{tmp_path}/mine.py:Mine")
    for said in ("yes", "no"):
        monkeypatch.setenv("SAID", said)
        folder = tmp_path / said
        folder.mkdir()
        monkeypatch.chdir(folder)
        with Pool(config, 1) as pool:
            assert isinstance(pool.workers[0].process, Forked)
        assert (folder / "here").read_text() == said


def test_where_python_would_read_another_environment_it_is_a_new_interpreter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONHASHSEED", "7")
    with Pool(CONFIG, 1) as pool:
        assert isinstance(pool.workers[0].process, subprocess.Popen)
