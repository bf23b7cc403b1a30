"""Options of a simulator's own, such as where its files are: `env.NAME.KEY=VALUE` of the command line.

They lie in an environment variable, so that every process that this one starts has them, in another interpreter, too.
A simulator whose numbers depend on one says it in its `version`, which is in every name of its numbers.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

from envs.errors import UserError

OF_THE_MACHINE = ("root",)
"""Where files are: of no option of this name does a number depend."""


class BadOption(UserError, ValueError):
    """An option that the simulator has not, or of another type or range."""


def variable(name: str) -> str:
    """`REPBENCH_ALOHA_OPTIONS` of `aloha`: a JSON object of its options."""
    return f"REPBENCH_{name.upper().replace('-', '_')}_OPTIONS"


def options_of(name: str) -> dict[str, Any]:
    """What is said of a simulator's options, without its defaults. Raises `BadOption` for no JSON object."""
    return _read(name, os.environ.get(variable(name)))


def options_outside(name: str) -> dict[str, Any]:
    """What its user says in the environment, beside which `set_options` gives others. Raises `BadOption`."""
    return _read(name, _outside(variable(name)))


def set_options(name: str, said: Mapping[str, Any]) -> None:
    """Give options beside those of the environment that this process was started in; null says nothing.

    What an earlier call has said is forgotten, also by a process that was started since. Who sets the variable after
    such a call has said something new.
    """
    key = variable(name)
    before = _outside(key)
    given = {option: value for option, value in said.items() if value is not None}
    written = json.dumps({**_read(name, before), **given}, sort_keys=True) if given else before
    for place, text in ((key, written), (key + _BEFORE, json.dumps([before, written]) if given else None)):
        os.environ.pop(place, None)
        if text is not None:
            os.environ[place] = text


_BEFORE = "_BEFORE"
"""Ends the name of the variable that has what stood in an option's variable, and what `set_options` has put there."""


def _outside(key: str) -> str | None:
    there, kept = os.environ.get(key), os.environ.get(key + _BEFORE)
    if kept is not None:
        before, written = json.loads(kept)
        if there == written:
            return None if before is None else str(before)
    return there


def _read(name: str, text: str | None) -> dict[str, Any]:
    try:
        found = json.loads(text) if text else {}
    except ValueError as error:
        raise BadOption(f"{variable(name)} is no JSON: {error}") from None
    if not isinstance(found, dict):
        raise BadOption(f'{variable(name)} must be a JSON object such as {{"root": "DIR"}}, not {text}')
    return found
