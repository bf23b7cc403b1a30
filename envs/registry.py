"""Simulators by name or by file. Looking one up imports its file, which does not import the simulator itself."""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from envs.base import Env
from envs.spec import ObservationRequest, SpecMismatch

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
    """The class registered as `name`, or the one in `path/to/file.py:Class`. Raises `UnknownName`."""
    if ".py:" in name:
        return load_from_file(name)
    if name not in ENVS:
        raise UnknownName("simulator", name, ENVS)
    module, _, attribute = ENVS[name].partition(":")
    return getattr(importlib.import_module(module), attribute)


def resolve(kind: type[Env], request: ObservationRequest) -> ObservationRequest:
    """The request with the simulator's own choices filled in as numbers: its crop, its virtual cameras.

    A simulator says them in a classmethod `resolve(request)`, which leaves alone what is there already; one without it
    gets the request as it is. Raises `SpecMismatch` for a crop whose name the simulator does not know.
    """
    own = getattr(kind, "resolve", None)
    if own is not None:
        return own(request)
    if isinstance(request.crop, str):
        raise SpecMismatch(
            f"{kind.name} has no crop named {request.crop!r}; give [x0,y0,z0,x1,y1,z1] in metres, or null"
        )
    return request


def make(name: str, task: str, request: ObservationRequest) -> Env:
    """Build one simulator for `task`. Call it in the process that will step it."""
    return env_class(name)(task, request)


def load_from_file(name: str) -> Any:
    """The object `Class` of `path/to/file.py:Class`. Raises FileNotFoundError or `UnknownName`."""
    path, _, attribute = name.rpartition(":")
    file = Path(path).expanduser().resolve()
    if not file.is_file():
        raise FileNotFoundError(f"no file {file}; give a registered name or path/to/file.py:Class")
    module_name = f"bench_file_{file.stem}_{abs(hash(str(file)))}"
    if module_name not in sys.modules:
        spec = importlib.util.spec_from_file_location(module_name, file)
        assert spec and spec.loader
        module = importlib.util.module_from_spec(spec)
        sys.modules[module_name] = module
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[module_name]
            raise
    module = sys.modules[module_name]
    if not hasattr(module, attribute):
        classes = [k for k, v in vars(module).items() if isinstance(v, type) and v.__module__ == module_name]
        raise UnknownName(f"class in {file.name}", attribute, classes)
    return getattr(module, attribute)
