"""What a simulator is, asked of the interpreter that holds it. Of one that is elsewhere nothing is imported here."""

from __future__ import annotations

import atexit
import functools
import os
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from envs.class_facts import ClassFacts, NoSimulator
from envs.classes import BadSimulator
from envs.errors import SpecMismatch
from envs.names import UnsafeName
from envs.options import variable
from envs.process import NotStarted, Process, WorkerDied, WorkerError
from envs.registry import BrokenFile, NoFile, UnknownName
from envs.spec import ActionSpec, FieldSpec, ObservationRequest

PATIENCE = 120.0
"""Seconds for an interpreter to say what a class says."""

_RAISED: dict[str, Callable[[str], Exception]] = {
    kind.__name__: kind for kind in (BadSimulator, BrokenFile, NoFile, NoSimulator, SpecMismatch, UnsafeName)
} | {"UnknownName": UnknownName.saying}


@dataclass(frozen=True)
class EnvDescription:
    """What the class attributes and class methods of `envs.base.Env` say, wherever the class is."""

    name: str
    tasks: tuple[str, ...]
    cameras: tuple[str, ...]
    provides: frozenset[str]
    proprio_names: tuple[str, ...]
    action_spec: ActionSpec
    restorable: bool
    not_replayable: str
    """Why no episode can be played again by its seed and actions; empty where it can."""
    control_rate: float | None
    """Steps a second; None where they are not equally long, or nobody has said."""
    _ask: Callable[..., Any] = field(repr=False, compare=False)

    @property
    def version(self) -> str:
        """Raises `NoSimulator` where the simulator is not installed."""
        return str(self.versions()["version"])

    def versions(self) -> dict[str, Any]:
        """As `envs.versions.simulator_facts`."""
        return dict(self._ask("versions"))

    def files(self) -> dict[str, str]:
        """File -> sha256 of the local code of a simulator that is a file."""
        return dict(self._ask("files"))

    def specs(self, request: ObservationRequest) -> dict[str, FieldSpec]:
        """Raises `SpecMismatch` for what the simulator cannot give, and `BadSimulator`."""
        return dict(self._ask("specs", request))

    def resolve(self, request: ObservationRequest) -> ObservationRequest:
        """As `envs.registry.resolve`."""
        resolved: ObservationRequest = self._ask("resolve", request)
        return resolved

    def instruction(self, task: str) -> str:
        return str(self._ask("instruction", task))

    def objects(self, task: str) -> tuple[tuple[str, int], ...]:
        """Names in words, and where in `ground_truth` the place of each begins; () where the simulator names none."""
        return tuple((str(name), int(entry)) for name, entry in self._ask("objects", task))


def describe(name: str, python: str | None = None) -> EnvDescription:
    """A registered simulator, or `path/to/file.py:Class`.

    python: the interpreter that holds it; None for this one, in which its class is imported (which imports no simulator
    where `envs.base.Env` is kept). Of another it is asked once for each question. Raises `UnknownName`, `BadSimulator`,
    `BrokenFile` or `NoFile` for what is no simulator, and `NoSimulator`.
    """
    if python is None:
        facts = ClassFacts(name)

        def ask(question: str, *arguments: Any) -> Any:
            return getattr(facts, question)(*arguments)
    else:
        ask = _elsewhere(name, python, os.environ.get(variable(name))).ask
    said = ask("attributes")
    return EnvDescription(**{**said, "provides": frozenset(said["provides"])}, _ask=ask)


def interpreter_setting(name: str) -> str:
    """The setting that names the interpreter of a simulator: one for each that is registered, and one for files."""
    return f"env.{'file' if '.py:' in name else name}.python"


@functools.cache
def _elsewhere(name: str, python: str, options: str | None) -> _Elsewhere:
    """options: the simulator's own (`envs.options`), which a process has from its start."""
    found = _Elsewhere(name, python)
    atexit.register(found.close)
    return found


class _Elsewhere:
    """A class in another interpreter. What it said is kept; its process lives as long as this one.

    Should that have ended, another is started, which has to find the files of the first. After a fork the conversation
    is the parent's, and a child begins one of its own.
    """

    def __init__(self, name: str, python: str) -> None:
        self._name, self._python = name, python
        self._lock = threading.Lock()
        self._said: dict[Any, Any] = {}
        self._process: Process | None = None
        self._owner = os.getpid()

    def ask(self, question: str, *arguments: Any) -> Any:
        with self._lock:
            if self._owner != os.getpid():
                self._owner, self._process = os.getpid(), None
            if (question, arguments) not in self._said:
                self._said[question, arguments] = self._answer(question, arguments)
            return self._said[question, arguments]

    def close(self) -> None:
        if self._process is not None and self._owner == os.getpid():
            self._process.close()
            self._process = None

    def _answer(self, question: str, arguments: tuple[Any, ...]) -> Any:
        try:
            if self._process is not None:
                try:
                    return self._process.ask_and_wait(question, *arguments)
                except WorkerDied:  # it was idle: somebody has ended it
                    self.close()
            self._process = self._started()
            return self._process.ask_and_wait(question, *arguments)
        except NotStarted as error:
            raise NoSimulator(
                f"{self._python} cannot be asked which {self._name} it has ({error.strerror}): it is no program "
                f"that can be run; {interpreter_setting(self._name)} must be the path of a Python with "
                f"{self._name} in it"
            ) from error
        except WorkerDied as error:
            self.close()
            self._errors.seek(0)
            printed = self._errors.read().decode(errors="replace").strip().splitlines()
            raise NoSimulator(f"{self._none()}: {printed[-1] if printed else error}") from error
        except WorkerError as error:
            if error.kind in _RAISED:
                raise _RAISED[error.kind](error.said) from error
            raise NoSimulator(f"{self._none()}: {error}") from error

    def _none(self) -> str:
        return f"{self._python} has no {self._name} that could be run"

    def _started(self) -> Process:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 (open as long as the process, and nameless)
        first = ("describe", {"name": self._name, "expected": self._said.get(("files", ()), {})})
        title, errors = f"{self._name} in {self._python}", self._errors.fileno()
        process = Process(title, self._python, first, PATIENCE, errors=errors)
        try:
            process.answer()
            self._said["files", ()] = process.ask_and_wait("files")
        except BaseException:
            process.close()
            raise
        return process
