"""Simulators by name or by file. Looking one up imports its file, which does not import the simulator itself."""

from __future__ import annotations

import difflib
import hashlib
import importlib
import sys
import traceback
import types
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from envs.base import Env
from envs.local_code import content, loaded, name_files, watch_imports
from envs.source import MixedModules, files, name_of, texts
from envs.spec import ObservationRequest, SpecMismatch

ENVS: dict[str, str] = {"metaworld": "envs.metaworld:MetaWorld"}

_files: dict[Path, dict[str, Path]] = {}


class BrokenFile(ImportError):
    """A file of a user's that raises, exits or is no Python when it is loaded."""


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
    """The object `Class` of `path/to/file.py:Class`. Raises FileNotFoundError, `UnknownName` or `BrokenFile`.

    The file may import what lies beside it. Its text is kept as it was when it was loaded (`loaded_sources`).
    """
    path, _, attribute = name.rpartition(":")
    file = Path(path).expanduser().resolve()
    if not file.is_file():
        raise FileNotFoundError(f"no file {file}; give a registered name or path/to/file.py:Class")
    module_name = f"bench_file_{file.stem}_{hashlib.sha256(str(file).encode()).hexdigest()[:12]}"
    if module_name not in sys.modules:
        _load(file, module_name)
    module = sys.modules[module_name]
    if not hasattr(module, attribute):
        classes = [k for k, v in vars(module).items() if isinstance(v, type) and v.__module__ == module_name]
        raise UnknownName(f"class in {file.name}", attribute, classes)
    return getattr(module, attribute)


def _load(file: Path, module_name: str) -> None:
    folder = str(file.parent)
    sys.path.insert(0, folder)  # as for a script: what it imports lies beside it
    watch_imports()
    module = types.ModuleType(module_name)
    module.__file__ = str(file)
    sys.modules[module_name] = module
    before = set(loaded)
    try:
        # dont_inherit: or this file's `from __future__ import annotations` would hold in theirs
        exec(compile(content(file), str(file), "exec", dont_inherit=True), module.__dict__)
        found = files(file)
        for name in set(loaded) - before:  # imported by a name that no text says
            if loaded[name] not in found.values():
                found[name_of(name, loaded[name])] = loaded[name]
        name_files(found.values())
        _files[file] = found
    except (KeyboardInterrupt, MemoryError):
        del sys.modules[module_name]
        raise
    except BaseException as error:  # SystemExit, too: a file that exits must not end a run as if it were done
        del sys.modules[module_name]
        here = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(file)]
        line = f" ({file.name}, line {here[-1]})" if here else ""
        text = " ".join((str(error) if isinstance(error, MixedModules) else f"{type(error).__name__}: {error}").split())
        raise BrokenFile(f"{file} cannot be imported: {text}{line}") from error
    finally:
        sys.path.remove(folder)
        if folder not in sys.path:
            sys.path.append(folder)  # for imports inside its functions; in front it could hide what others import


def loaded_files(name: str) -> dict[str, Path]:
    """Of `path/to/file.py:Class`: the file and its local modules, by names that fit in a folder."""
    load_from_file(name)
    return dict(_files[Path(name.rpartition(":")[0]).expanduser().resolve()])


def loaded_sources(name: str) -> dict[str, str]:
    """The texts of `loaded_files`, as they were when they were loaded."""
    return texts(loaded_files(name))


def edited_since(name: str) -> list[Path]:
    """Which of `loaded_files` are not on the disk as they were loaded: this process still runs what they were."""
    found = loaded_files(name).values()
    return [path for path in found if not path.is_file() or path.read_bytes() != content(path)]
