"""The source of what somebody wrote in a file: the file itself and the local modules it imports.

A number that such code made is a number of that code. So its text is part of what names the number, and it is read
once, when the code is loaded: an edit while a run goes on does not rename what is running.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib.util
import site
import sys
import sysconfig
from collections.abc import Collection, Iterator, Mapping
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path

ROOMS = ("envs", "methods", "baselines", "benchmark")
"""This project's own packages: what they compute is named by versions, not by their text."""


class MixedModules(ImportError):
    """Two files mean different modules by one name, and only one of them can be loaded."""


def sources(file: Path, module: str = "", rooms: Collection[str] = ()) -> dict[str, str]:
    """Text of `file` and of every local module that it imports, directly or not, by a name that fits in a folder.

    module: the dotted name that `file` was imported as; empty for a file that was loaded by its path, which may import
    what lies beside it. Local is what belongs neither to Python, nor to an installed package other than the file's own,
    nor to this project, `rooms` of it apart. What is imported by a name that is made while running is not seen. Raises
    `MixedModules`, and SyntaxError naming a module that is no Python.
    """
    own = {module.partition(".")[0], *rooms} - {""}
    beside = None if module else file.parent
    if module and file.stem == "__init__":
        module = f"{module}.__init__"  # from here on "the package of" is what stands before the last dot
    found: dict[str, Path] = {f"{module.replace('.', '/') or file.stem}.py": file}
    waiting = [(file, module)]
    while waiting:
        path, name = waiting.pop()
        for wanted in _imported(path, name):
            for full, origin in _local_files(wanted, beside, own):
                known = f"{full.replace('.', '/')}{'/__init__' if origin.stem == '__init__' else ''}{origin.suffix}"
                if known not in found:
                    found[known] = origin
                    if origin.suffix == ".py":
                        waiting.append((origin, f"{full}.__init__" if origin.stem == "__init__" else full))
    return {name: _text(path) for name, path in sorted(found.items())}


def source_hash(texts: Mapping[str, str]) -> str:
    """sha256 over names and texts; where the files lie does not matter."""
    digest = hashlib.sha256()
    for name, text in sorted(texts.items()):
        digest.update(f"{name}\0{len(text)}\0{text}\0".encode())
    return digest.hexdigest()


def _text(path: Path) -> str:
    """As Python reads it, whatever its encoding and ends of lines; of a compiled extension its hash."""
    content = path.read_bytes()
    return importlib.util.decode_source(content) if path.suffix == ".py" else hashlib.sha256(content).hexdigest()


def _imported(path: Path, name: str) -> Iterator[str]:
    """Absolute dotted names that a file imports anywhere in it, functions included."""
    package = name.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_bytes(), str(path))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parent = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*parent, *([base] if base else [])])
            if base:
                yield base
                yield from (f"{base}.{alias.name}" for alias in node.names)


def _local_files(name: str, beside: Path | None, own: set[str]) -> Iterator[tuple[str, Path]]:
    """The files of a dotted name's packages and of itself, as far as they are local. Imports nothing."""
    top, *rest = name.split(".")
    if (top in ROOMS and top not in own) or top in sys.builtin_module_names:
        return
    spec = _top(top, beside)
    full = top
    while spec is not None:
        if spec.origin is not None and spec.has_location:
            origin = Path(spec.origin)
            if top not in own and not _local(origin):
                return
            yield full, origin
        if not rest or spec.submodule_search_locations is None:
            return
        full = f"{full}.{rest.pop(0)}"
        spec = PathFinder.find_spec(full, list(spec.submodule_search_locations))


def _top(name: str, beside: Path | None) -> ModuleSpec | None:
    """Where a module comes from. Raises `MixedModules` if that is not what lies in the folder `beside`."""
    loaded = sys.modules.get(name)
    spec = getattr(loaded, "__spec__", None)
    if spec is None and loaded is None:
        try:
            spec = importlib.util.find_spec(name)
        except (ImportError, ValueError):
            return None
    places = () if beside is None else (beside / f"{name}.py", beside / name / "__init__.py")
    near = next((place for place in places if place.is_file()), None)
    if near is not None and spec is not None and spec.origin is not None and spec.has_location:
        there = Path(spec.origin)
        if there.resolve() != near.resolve():
            raise MixedModules(
                f"'import {name}' means {near} beside its file, but {there} is what Python takes: give one of them "
                "another name, or run the two files in commands of their own"
            )
    return spec


def _local(origin: Path) -> bool:
    resolved = origin.resolve()
    return not any(resolved.is_relative_to(folder) for folder in _installed())


@functools.cache
def _installed() -> tuple[Path, ...]:
    """Folders of Python itself, of installed packages, and of this project's own packages."""
    paths = [sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    paths += [*site.getsitepackages(), site.getusersitepackages()]
    root = Path(__file__).resolve().parents[1]
    return tuple({Path(path).resolve() for path in paths if path} | {root / room for room in ROOMS})
