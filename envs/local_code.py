"""Code of a user's own: what it is, and its bytes as Python gets them.

A local module is compiled from bytes that are kept, whenever it is imported: an edit while a run goes on changes
neither what runs nor what is said to run, and a cached .pyc, which Python takes for current after an edit within the
same second, is never used.
"""

from __future__ import annotations

import functools
import json
import site
import sys
import sysconfig
from collections.abc import Collection, Iterable, Sequence
from importlib import metadata
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType

ROOMS = ("envs", "methods", "baselines", "benchmark", "repbench")
"""This project's own packages: what they compute is named by versions, not by their text."""

_bytes: dict[Path, bytes] = {}
_named: set[Path] = set()
loaded: dict[str, Path] = {}
"""Local modules that were imported since `watch_imports`, by their dotted names, with their files."""


def content(path: Path) -> bytes:
    """The bytes of a file as they were when they were asked for first, by this or by an import."""
    if path not in _bytes:
        _bytes[path] = path.read_bytes()
    return _bytes[path]


def is_local(origin: Path) -> bool:
    """Whether a module's file belongs neither to Python, nor to an installed package, nor to this project.

    A package that was installed from a folder of this machine is local wherever it was copied to.
    """
    for path in (origin.absolute(), origin.resolve()):
        of_others = [parent for parent in path.parents if parent.name in ("site-packages", "dist-packages")]
        for folder in (*_installed(), *of_others):
            if path.is_relative_to(folder):
                top = path.relative_to(folder).parts[0].partition(".")[0]
                return folder.name not in ROOMS and top in _from_folders()
    return True


def name_files(files: Iterable[Path]) -> None:
    """These are part of the name of some method's or simulator's code."""
    _named.update(files)


def unnamed(before: Collection[str]) -> list[Path]:
    """Local files that were imported and are part of no name: by what a program makes up while it runs.

    before: names of `loaded` at its start; what was there already is somebody else's.
    """
    return sorted({path for name, path in loaded.items() if name not in before and path not in _named})


def watch_imports() -> None:
    """From now on local modules are compiled from `content`, and are named in `loaded`."""
    if not any(isinstance(finder, _LocalFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _LocalFinder())


class _Loader(SourceFileLoader):
    def get_code(self, fullname: str) -> CodeType:
        code: CodeType = self.source_to_code(content(Path(self.path)), self.path)
        return code

    def exec_module(self, module: ModuleType) -> None:
        loaded[self.name] = Path(self.path)
        super().exec_module(module)


class _LocalFinder:
    """Ahead of Python's own finders, for local modules alone. A name of Python's own modules means Python's: a file
    called random.py must not become what everybody else imports as `random`."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        top = name.partition(".")[0]
        if top in sys.builtin_module_names or top in ROOMS:
            return None
        if top in sys.stdlib_module_names:
            return PathFinder.find_spec(name, _stdlib()) if path is None else None
        spec = PathFinder.find_spec(name, path)
        if spec is None or spec.origin is None or not isinstance(spec.loader, SourceFileLoader):
            return None
        if not is_local(Path(spec.origin)):
            return None
        spec.loader = _Loader(spec.loader.name, spec.origin)
        spec.cached = None
        return spec


@functools.cache
def _stdlib() -> list[str]:
    return [*{sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")}, *_dynload()]


def _dynload() -> list[str]:
    return [path for path in sys.path if path.endswith("lib-dynload")]


@functools.cache
def _installed() -> tuple[Path, ...]:
    """Folders of installed packages, of Python itself, and of this project's own packages; inner ones first."""
    paths = [sysconfig.get_path(name) for name in ("purelib", "platlib", "stdlib", "platstdlib")]
    paths = [*site.getsitepackages(), site.getusersitepackages(), *paths]
    root = Path(__file__).resolve().parents[1]
    folders = {form for path in paths if path for form in (Path(path).absolute(), Path(path).resolve())}
    folders |= {root / room for room in ROOMS}
    return tuple(sorted(folders, key=lambda folder: -len(folder.parts)))


@functools.cache
def _from_folders() -> frozenset[str]:
    """Top-level modules of distributions that were installed from a folder, not from an index."""
    found: set[str] = set()
    for distribution in metadata.distributions():
        try:
            direct = json.loads(distribution.read_text("direct_url.json") or "{}")
        except ValueError:
            continue
        if str(direct.get("url", "")).startswith("file:"):
            found |= {file.parts[0].partition(".")[0] for file in distribution.files or () if file.suffix == ".py"}
    return frozenset(found - set(ROOMS))
