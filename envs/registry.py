"""Simulators by name. Looking one up imports its file, which does not import the simulator itself."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterable

from envs.base import Env

ENVS: dict[str, str] = {"metaworld": "envs.metaworld:MetaWorld"}


class UnknownName(KeyError):
    """A name that is not registered; the message names the closest ones."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        known = sorted(known)
        close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
        hint = f"Did you mean '{close[0]}'?" if close else f"There are: {', '.join(known)}."
        self.message = f"unknown {kind} '{name}'. {hint}"
        super().__init__(self.message)

    def __str__(self) -> str:
        return self.message


def env_class(name: str) -> type[Env]:
    """The class registered as `name`. Raises `UnknownName`."""
    if name not in ENVS:
        raise UnknownName("simulator", name, ENVS)
    module, _, attribute = ENVS[name].partition(":")
    return getattr(importlib.import_module(module), attribute)


def make(name: str, task: str, request: object) -> Env:
    """Build one simulator for `task`. Call it in the process that will step it."""
    return env_class(name)(task, request)  # type: ignore[arg-type]
