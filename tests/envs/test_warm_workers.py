"""Which workers of the tests are forks, and which begin as in a run."""

from __future__ import annotations

import subprocess

import pytest

from envs.pool import EnvConfig, Pool
from envs.spec import ObservationRequest
from tests.conftest import TOY
from tests.forking import Forked

pytestmark = pytest.mark.slow
CONFIG = EnvConfig(TOY, "near", ObservationRequest(("proprio",)))


def test_a_worker_is_a_fork_that_says_how_it_ended() -> None:
    with Pool(CONFIG, 1) as pool:
        started = pool.workers[0].process
        assert isinstance(started, Forked)
    assert started.returncode == 0


def test_where_the_environment_is_another_it_is_a_new_interpreter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOMETHING_ELSE", "1")
    with Pool(CONFIG, 1) as pool:
        assert isinstance(pool.workers[0].process, subprocess.Popen)
