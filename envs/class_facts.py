"""What a simulator's class says of itself, computed where the class can be imported: in this process or in a worker."""

from __future__ import annotations

import functools
import hashlib
import os
from importlib import metadata
from pathlib import Path
from typing import Any

from envs.classes import BadSimulator, specs_of
from envs.errors import UserError
from envs.local_code import content
from envs.options import variable
from envs.registry import env_class, loaded_files, loaded_sources, resolve
from envs.source import source_hash
from envs.spec import FieldSpec, ObservationRequest


class NoSimulator(UserError, RuntimeError):
    """The interpreter that should hold a simulator cannot be started, or has not what the simulator needs."""


class ClassFacts:
    """Each public method is a question; its return value is the answer. Raises what `envs.registry.env_class` does."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._kind = env_class(name)

    def attributes(self) -> dict[str, Any]:
        """What the class says without being asked anything."""
        kind = self._kind
        return {
            "name": kind.name,
            "tasks": tuple(kind.tasks),
            "cameras": tuple(kind.cameras),
            "provides": sorted(kind.provides),
            "proprio_names": tuple(kind.proprio_names),
            "action_spec": kind.action_spec,
            "restorable": bool(getattr(kind, "restorable", True)),
            "not_replayable": str(getattr(kind, "not_replayable", "")),
            "control_rate": getattr(kind, "control_rate", None),
        }

    def specs(self, request: ObservationRequest) -> dict[str, FieldSpec]:
        return specs_of(self._kind, request)

    def resolve(self, request: ObservationRequest) -> ObservationRequest:
        return resolve(self._kind, request)

    def instruction(self, task: str) -> str:
        return self._kind.instruction(task)

    def objects(self, task: str) -> tuple[tuple[str, int], ...]:
        """() of a simulator that names none. Raises `BadSimulator` for what is not as `envs.base.Env` says."""
        ask = getattr(self._kind, "objects", None)
        found = () if ask is None else ask(task)
        try:
            pairs = tuple((name, entry) for name, entry in found)
        except (TypeError, ValueError):
            pairs = ((None, None),)
        if not all(isinstance(name, str) and name and type(entry) is int and entry >= 0 for name, entry in pairs):
            raise BadSimulator(f"{self._name}: objects of {task} are {found!r}; each is (name, entry of ground_truth)")
        return pairs

    def versions(self) -> dict[str, Any]:
        """`version` as the class says it, `packages`: versions of the distributions it names, and `fpsample`: the
        version of what samples its points, as installed here. A simulator from a file has the hash of its `source`.

        Raises `NoSimulator` where the class finds no version.
        """
        return dict(_versions(self._name, os.environ.get(variable(self._name))))

    def files(self) -> dict[str, str]:
        """File -> sha256 of a simulator's own code as it was when it was loaded: no worker may run an edit of it."""
        found = loaded_files(self._name).values() if ".py:" in self._name else ()
        return {str(path): hashlib.sha256(content(path)).hexdigest() for path in found}


@functools.cache
def _versions(name: str, options: str | None) -> dict[str, Any]:
    """Once in a process: what is installed is looked for in every folder of packages, and each cell's name has it.

    options: the simulator's own (`envs.options`), which a version may name.
    """
    kind = env_class(name)
    try:
        version = kind.version
    except metadata.PackageNotFoundError as error:
        raise NoSimulator(f"{error.name} is not installed in this interpreter") from error
    packages = {package: _version(package) for package in packages_of(kind)}
    facts = {"version": version, "packages": packages, "fpsample": _version("fpsample")}
    return facts | ({"source": source_hash(loaded_sources(name))} if ".py:" in name else {})


def packages_of(kind: Any) -> tuple[str, ...]:
    """Distributions whose versions the simulator's numbers depend on; a third party's class may name none."""
    return tuple(getattr(kind, "packages", ()))


def edited(expected: dict[str, str]) -> list[str]:
    """Which of these files have another sha256 than the one that is expected."""
    return [path for path, sha in expected.items() if hashlib.sha256(content(Path(path))).hexdigest() != sha]


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
