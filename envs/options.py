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

_outside: dict[str, str | None] = {}
"""What the variables were before this process set them."""


class BadOption(UserError, ValueError):
    """An option that the simulator has not, or of another type or range."""


def variable(name: str) -> str:
    """`REPBENCH_ALOHA_OPTIONS` of `aloha`: a JSON object of its options."""
    return f"REPBENCH_{name.upper().replace('-', '_')}_OPTIONS"


def options_of(name: str) -> dict[str, Any]:
    """What is said of a simulator's options, without its defaults. Raises `BadOption` for no JSON object."""
    text = os.environ.get(variable(name), "")
    try:
        found = json.loads(text) if text else {}
    except ValueError as error:
        raise BadOption(f"{variable(name)} is no JSON: {error}") from None
    if not isinstance(found, dict):
        raise BadOption(f'{variable(name)} must be a JSON object such as {{"root": "DIR"}}, not {text}')
    return found


def set_options(name: str, said: Mapping[str, Any]) -> None:
    """Give options beside those of the environment that this process was started in; null says nothing.

    What an earlier call has said is forgotten.
    """
    key = variable(name)
    before = _outside.setdefault(key, os.environ.get(key))
    os.environ.pop(key, None)
    if before is not None:
        os.environ[key] = before
    given = {option: value for option, value in said.items() if value is not None}
    if given:
        os.environ[key] = json.dumps({**options_of(name), **given}, sort_keys=True)
