"""A simulator's options in the environment: whose they are, and which hold."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from envs.options import BadOption, options_of, options_outside, set_options

VARIABLE = "REPBENCH_ALOHA_OPTIONS"


@pytest.fixture(autouse=True)
def nothing_said(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    set_options("aloha", {})
    monkeypatch.delenv(VARIABLE, raising=False)
    yield
    set_options("aloha", {})


def test_the_users_stand_beside_those_that_are_given_and_stay() -> None:
    os.environ[VARIABLE] = '{"stand_ins": true, "noise": 0.1}'
    set_options("aloha", {"noise": 0.2, "habit": None})
    assert options_of("aloha") == {"stand_ins": True, "noise": 0.2}
    assert options_outside("aloha") == {"stand_ins": True, "noise": 0.1}
    set_options("aloha", {})
    assert os.environ[VARIABLE] == '{"stand_ins": true, "noise": 0.1}', "to the letter"
    del os.environ[VARIABLE]


def test_what_the_user_sets_after_a_call_is_new() -> None:
    """As in a notebook: the first call had no checkout, the second has stand-ins."""
    set_options("aloha", {})
    os.environ[VARIABLE] = '{"stand_ins": true}'
    set_options("aloha", {"noise": 0.2})
    assert options_of("aloha") == {"stand_ins": True, "noise": 0.2}
    os.environ[VARIABLE] = '{"joint_delay": 0.1}'
    set_options("aloha", {})
    assert options_of("aloha") == options_outside("aloha") == {"joint_delay": 0.1}
    set_options("aloha", {"noise": 0.2})
    del os.environ[VARIABLE]
    set_options("aloha", {"habit": True})
    assert options_of("aloha") == {"habit": True}, "taken back is taken back"


def test_a_process_that_is_started_has_them_and_knows_whose_they_are() -> None:
    """Else one cell's options would be another's: a sweep's parent has looked at both."""
    os.environ[VARIABLE] = '{"stand_ins": true}'
    set_options("aloha", {"control": "cartesian"})
    program = (
        "from envs.options import *; import json; first = options_of('aloha'); set_options('aloha', {'noise': 0.2}); "
        "print(json.dumps([first, options_of('aloha'), options_outside('aloha')]))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [
        {"stand_ins": True, "control": "cartesian"},
        {"stand_ins": True, "noise": 0.2},
        {"stand_ins": True},
    ]
    del os.environ[VARIABLE]


@pytest.mark.parametrize("text", ["{", "[1]", "3"])
def test_what_is_no_object_is_one_line(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, text)
    for ask in (lambda: options_of("aloha"), lambda: options_outside("aloha"), lambda: set_options("aloha", {"a": 1})):
        with pytest.raises(BadOption, match=VARIABLE):
            ask()
