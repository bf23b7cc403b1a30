"""The source of what somebody wrote in a file: the file itself and the local modules it imports.

A number that such code made is a number of that code. So its text is part of what names the number, as it was when the
code was loaded (`envs.local_code`): an edit while a run goes on does not rename what is running.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib.machinery
import importlib.util
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path

from envs.local_code import ROOMS, content, is_local

SUFFIXES = (".py", *importlib.machinery.EXTENSION_SUFFIXES)


class MixedModules(ImportError):
    """Two files mean different modules by one name, and only one of them can be loaded."""


def files(file: Path, module: str = "", rooms: Collection[str] = ()) -> dict[str, Path]:
    """`file` and every local module that it imports, directly or not, by names that fit in a folder.

    module: the dotted name that `file` was imported as; empty for a file that was loaded by its path, which may import
    what lies beside it. Local is what belongs neither to Python, nor to an installed package other than the file's own,
    nor to this project, `rooms` of it apart. What is imported by a name that is made while running is not seen. Raises
    `MixedModules`.
    """
    return files_of_all([(file, module)], rooms)


def files_of_all(starts: Sequence[tuple[Path, str]], rooms: Collection[str] = ()) -> dict[str, Path]:
    """`files` of several files and their modules' names, of one package unless its name is among `rooms`."""
    own = {*(module.partition(".")[0] for _, module in starts), *rooms} - {""}
    beside = starts[0][0].parent if len(starts) == 1 and not starts[0][1] else None
    # from here on "the package of" is what stands before the last dot
    waiting = [(file, f"{name}.__init__" if name and file.stem == "__init__" else name) for file, name in starts]
    found: dict[str, Path] = {f"{name.replace('.', '/') or file.stem}.py": file for file, name in waiting}
    while waiting:
        path, name = waiting.pop()
        for wanted in _imported(content(path), name.rpartition(".")[0]):
            for full, origin in _local_files(wanted, beside, own):
                known = name_of(full, origin)
                if known not in found:
                    found[known] = origin
                    if origin.suffix == ".py":
                        waiting.append((origin, f"{full}.__init__" if origin.stem == "__init__" else full))
    return dict(sorted(found.items()))


def name_of(module: str, origin: Path) -> str:
    """`lib/net.py` for the module `lib.net`, wherever its file lies."""
    return f"{module.replace('.', '/')}{'/__init__' if origin.stem == '__init__' else ''}{origin.suffix}"


def texts(found: Mapping[str, Path]) -> dict[str, str]:
    """As Python reads them, whatever their encodings and ends of lines; of a compiled extension its hash."""
    return {name: _text(path) for name, path in found.items()}


def sources(file: Path, module: str = "", rooms: Collection[str] = ()) -> dict[str, str]:
    """The texts of `files`."""
    return texts(files(file, module, rooms))


def source_hash(found: Mapping[str, str]) -> str:
    """sha256 over names and texts; where the files lie does not matter."""
    digest = hashlib.sha256()
    for name, text in sorted(found.items()):
        digest.update(f"{name}\0{len(text)}\0{text}\0".encode())
    return digest.hexdigest()


def _text(path: Path) -> str:
    kept = content(path)
    if path.suffix != ".py":
        return hashlib.sha256(kept).hexdigest()
    try:
        return importlib.util.decode_source(kept)
    except (SyntaxError, UnicodeDecodeError):  # whoever runs it is told; here it is only named
        return kept.decode("latin-1")


@functools.lru_cache(maxsize=2048)  # a file that many import is read for each of them
def _imported(text: bytes, package: str) -> tuple[str, ...]:
    """Absolute dotted names that a text of this package imports anywhere in it, functions included, each once. Of one
    that is no Python none: it may be there for another version."""
    try:
        return tuple(dict.fromkeys(_names(ast.parse(text), package)))
    except (SyntaxError, ValueError):
        return ()


def _names(tree: ast.Module, package: str) -> Iterator[str]:
    for node in ast.walk(tree):
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
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if called in ("import_module", "__import__") and isinstance(node.args[0].value, str):
                yield node.args[0].value


def _local_files(name: str, beside: Path | None, own: set[str]) -> Iterator[tuple[str, Path]]:
    """The files of a dotted name's packages and of itself, as far as they are local. Imports nothing."""
    parts = [part for part in name.split(".") if part]
    if not parts or (parts[0] in ROOMS and parts[0] not in own) or parts[0] in sys.stdlib_module_names:
        return
    folders: list[str] | None = None
    for depth in range(1, len(parts) + 1):
        full = ".".join(parts[:depth])
        origin, folders = _find(full, folders)
        if parts[0] not in ROOMS:
            _refuse_another(full, origin, beside)
        if origin is not None:
            if parts[0] not in own and not is_local(origin):
                return
            yield full, origin
        if folders is None:
            return


def _find(full: str, folders: list[str] | None) -> tuple[Path | None, list[str] | None]:
    """The file of a module (None for a namespace) and the folders of its submodules (None where it has none).

    folders: of its package; None for a name at the top.
    """
    spec: ModuleSpec | None = getattr(sys.modules.get(full), "__spec__", None)
    if spec is None and folders is None:
        try:
            spec = importlib.util.find_spec(full)
        except (ImportError, ValueError, KeyError):
            return None, None
    if spec is not None:
        places = spec.submodule_search_locations
        origin = Path(spec.origin) if spec.origin is not None and spec.has_location else None
        return origin, None if places is None else [str(place) for place in places]
    stem = full.rpartition(".")[2]
    for folder in folders or ():
        package = Path(folder) / stem
        if (package / "__init__.py").is_file():
            return package / "__init__.py", [str(package)]
        for suffix in SUFFIXES:
            if package.with_name(stem + suffix).is_file():
                return package.with_name(stem + suffix), None
    spaces = [str(Path(folder) / stem) for folder in folders or () if (Path(folder) / stem).is_dir()]
    return None, spaces or None


def _refuse_another(full: str, origin: Path | None, beside: Path | None) -> None:
    """Raises `MixedModules` if a module is not the one that lies in the folder `beside`, which its importer means."""
    if beside is None:
        return
    base = beside.joinpath(*full.split("."))
    near = next((p for p in (base.with_name(base.name + ".py"), base / "__init__.py") if p.is_file()), None)
    if near is not None and origin is not None and origin.resolve() != near.resolve():
        raise MixedModules(
            f"'import {full}' means {near} beside its file, but {origin} is what Python takes: give one of them "
            "another name, or run the two files in commands of their own"
        )
