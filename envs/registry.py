"""Simulators by name or by file. Looking one up imports its file, which does not import the simulator itself."""

from __future__ import annotations

import difflib
import hashlib
import importlib
import os
import re
import sys
import traceback
import types
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from envs.base import Env
from envs.classes import check_simulator, check_sizes
from envs.errors import SpecMismatch, UserError
from envs.files import why_no_file
from envs.local_code import content, loaded, name_files, watch_imports
from envs.source import MixedModules, files, name_of, texts
from envs.spec import ObservationRequest
from envs.view_layouts import FIVE

ENVS: dict[str, str] = {
    "metaworld": "envs.metaworld:MetaWorld",
    "rlbench": "envs.rlbench.env:RLBench",
    "rlbench4-port": "envs.rlbench_port.env:RLBenchPort",
    "aloha": "envs.aloha.env:Aloha",
}

LARGEST = 16 * 2**20
"""Bytes of a file of Python text; one that is larger is something else."""

_files: dict[Path, dict[str, Path]] = {}


class NoFile(UserError, FileNotFoundError):
    """The file of a user's method or simulator is not there."""


class BrokenFile(UserError, ImportError):
    """A file of a user's that raises, exits or is no Python when it is loaded."""


class UnknownName(UserError, KeyError):
    """A name that is not registered; the message names the closest ones."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        known = sorted(known)
        close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
        hint = (
            f"Did you mean '{close[0]}'?"
            if close
            else f"There are: {', '.join(known)}."
            if known
            else "There are none."
        )
        what, *of_what = re.split(r" (?=(?:of|in|with|whose|that) )", kind, maxsplit=1)  # "task", "of metaworld-15"
        quoted = f"'{name}'"
        self.message = f"unknown {' '.join([what, quoted, *of_what])}. {hint}"
        super().__init__(self.message)

    @classmethod
    def saying(cls, message: str) -> UnknownName:
        """One with a message that was made elsewhere."""
        found = cls.__new__(cls)
        found.message = message
        KeyError.__init__(found, message)
        return found

    def __str__(self) -> str:
        return self.message


def env_class(name: str) -> type[Env]:
    """The class registered as `name`, or the one in `path/to/file.py:Class`. Raises `UnknownName` or `BadSimulator`."""
    if ".py:" in name:
        found = load_from_file(name)
        check_simulator(name, found)
        return found
    if name not in ENVS:
        raise UnknownName("simulator", name, ENVS)
    module, _, attribute = ENVS[name].partition(":")
    return getattr(importlib.import_module(module), attribute)


def resolve(kind: type[Env], request: ObservationRequest) -> ObservationRequest:
    """The request with the simulator's own choices filled in as numbers: its crop, its virtual cameras.

    A simulator says them in a classmethod `resolve(request)`, which leaves alone what is there already; one without it
    gets the request as it is. Raises `SpecMismatch` for a crop whose name the simulator does not know, and for a layout
    of virtual views that it has no cameras for.
    """
    found = _resolved(kind, request)
    if "views" in found.fields and found.layout != FIVE:
        names = {one.name for one in found.virtual or ()}
        if names != set(found.view_layout.tiles):
            raise SpecMismatch(
                f"{kind.name} places no cameras for the layout {found.layout} of virtual views: its `resolve` needs "
                f"`virtual_cameras(request.layout, ...)` of envs/view_layouts.py; or choose {FIVE}"
            )
    return found


def _resolved(kind: type[Env], request: ObservationRequest) -> ObservationRequest:
    own = getattr(kind, "resolve", None)
    if own is not None:
        found: ObservationRequest = own(request)
        return found
    if isinstance(request.crop, str):
        raise SpecMismatch(
            f"{kind.name} has no crop named {request.crop!r}; give [x0,y0,z0,x1,y1,z1] in metres, or null"
        )
    return request


def make(name: str, task: str, request: ObservationRequest) -> Env:
    """Build one simulator for `task`. Call it in the process that will step it."""
    kind = env_class(name)
    check_sizes(kind, request)
    return kind(task, request)


def load_from_file(name: str) -> Any:
    """The object `Class` of `path/to/file.py:Class`. Raises FileNotFoundError, `UnknownName` or `BrokenFile`.

    The file may import what lies beside it. Its text is kept as it was when it was loaded (`loaded_sources`).
    """
    path, _, attribute = name.rpartition(":")
    file = _python_file(path)
    module_name = f"bench_file_{file.stem}_{hashlib.sha256(str(file).encode()).hexdigest()[:12]}"
    if module_name not in sys.modules:
        _load(file, module_name)
    found = vars(sys.modules[module_name])
    if attribute not in found:
        classes = [k for k, v in found.items() if isinstance(v, type) and v.__module__ == module_name]
        raise UnknownName(f"class in {file}", attribute, classes)
    return found[attribute]


def _python_file(path: str) -> Path:
    """Raises FileNotFoundError, or `BrokenFile` for what would not end when it is read, or fills the memory."""
    try:
        file = Path(path).expanduser().resolve()
        found = file.stat()
    except (OSError, RuntimeError, ValueError) as error:  # no such file, links in a ring, no such user, a null byte
        why = "" if isinstance(error, FileNotFoundError) else f" ({error})"
        shown = path if why else file
        raise NoFile(f"no file {shown}{why}; give a registered name or path/to/file.py:Class") from None
    if wrong := why_no_file(file):
        raise BrokenFile(f"{file} {wrong}; give path/to/file.py:Class")
    if found.st_size > LARGEST:
        raise BrokenFile(f"{file} has {found.st_size:,} bytes; a file of Python text has at most {LARGEST:,}")
    return file


def _load(file: Path, module_name: str) -> None:
    folder = str(file.parent)
    sys.path.insert(0, folder)  # as for a script: what it imports lies beside it
    watch_imports()
    module = types.ModuleType(module_name)
    module.__file__ = str(file)
    sys.modules[module_name] = module
    before, cwd = set(loaded), os.getcwd()
    try:
        # dont_inherit: or this file's `from __future__ import annotations` would hold in theirs
        exec(compile(content(file), str(file), "exec", dont_inherit=True), module.__dict__)
        if os.getcwd() != cwd:
            os.chdir(cwd)
            raise OSError(
                "it changes the working directory, in which relative paths are meant; Path(__file__).parent "
                "is where it lies"
            )
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
        if not isinstance(error, Exception):
            line += ": a file that is loaded must not end the program; what a script does belongs under __main__"
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
