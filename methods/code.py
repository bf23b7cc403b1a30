"""Which code a method is, as far as its numbers depend on it.

A shipped method is named by its card's `version`, which a test guards by features on fixed inputs; a method from a
user's file or package by the hash of its text. Packages that hold a network of a method are named by their versions.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import json
import sys
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from envs.local_code import ROOMS, loaded, name_files, unnamed
from envs.registry import edited_since, loaded_sources
from envs.source import files, files_of_all, source_hash, sources, texts
from methods.card import MethodCard
from methods.errors import BadMethod
from methods.registry import class_of, is_shipped, table, target_of

CODE_ROOMS = ("methods", "baselines")


def code_facts(name: str) -> dict[str, Any]:
    """Plain data that changes when the method's code may compute something else.

    `version` of a shipped method; of any other `source`, a hash, the `class` in it, and `builds_on`, the versions of
    the shipped methods that it subclasses. `made_from`: which model of a hub. `packages`: version or content of each
    package that the card requires.
    """
    kind = class_of(name)
    facts: dict[str, Any] = {}
    if is_shipped(name):
        facts["version"] = kind.card.version
    else:
        facts["source"] = source_hash(texts_of(name))
        facts["class"] = kind.__qualname__
        above = [base for base in kind.__mro__[1:] if base.__module__.partition(".")[0] in ROOMS]
        cards = [card for base in above if isinstance(card := vars(base).get("card"), MethodCard)]
        if cards:
            facts["builds_on"] = {card.name: card.version for card in cards}
    made_from = getattr(kind, "made_from", None)  # a policy has none
    if made_from:
        facts["made_from"] = dict(made_from)
    if kind.card.requires:
        facts["packages"] = {package: package_version(package) for package, _ in kind.card.requires}
    return facts


def texts_of(name: str) -> Mapping[str, str]:
    """The texts behind a method that is not shipped, by file name; {} for a shipped one."""
    if ".py:" in name:
        return _file_texts(name)
    return {} if is_shipped(name) else _package_texts(name)


@functools.cache
def _file_texts(name: str) -> Mapping[str, str]:
    """With what it imports from this project's folders and no shipped method does: a method that is being written."""
    found = loaded_sources(name)
    path = Path(name.rpartition(":")[0]).expanduser().resolve()
    everything = sources(path, rooms=CODE_ROOMS)
    ours = {file for file in everything if file.partition("/")[0] in CODE_ROOMS} - _shipped_files()
    return {**found, **{file: everything[file] for file in ours}}


@functools.cache
def _shipped_files() -> frozenset[str]:
    """Files of `methods` and `baselines` behind the methods of ours, and the contract's own."""
    modules = [target_of(name).partition(":")[0] for name in table() if is_shipped(name)]
    specs = [importlib.util.find_spec(module) for module in (*modules, "methods.testing", "methods.policy")]
    starts = [(Path(spec.origin), spec.name) for spec in specs if spec is not None and spec.origin is not None]
    return frozenset(files_of_all(starts, CODE_ROOMS))


def imports_so_far() -> frozenset[str]:
    """For `refuse_unnamed`."""
    return frozenset(loaded)


def refuse_unnamed(name: str, before: frozenset[str]) -> None:
    """Raises `BadMethod` if a local file was imported since `before` that no record could name."""
    found = unnamed(before)
    if found:
        raise BadMethod(
            f"{name} imports {', '.join(map(str, found))} by a name that is not in its text, so a record could not say "
            "which code made its number: import it by an import statement"
        )


def refuse_edited(name: str) -> None:
    """Raises `BadMethod` if a method's files have been edited since this process loaded them (a notebook's)."""
    found = edited_since(name) if ".py:" in name else []
    if found:
        raise BadMethod(
            f"{', '.join(map(str, found))} was edited since this process loaded it, which runs what it was: start "
            "the process (the notebook's kernel) anew"
        )


@functools.cache
def _package_texts(name: str) -> Mapping[str, str]:
    """Read once, with the module: an edit later does not change what was imported."""
    module = target_of(name).partition(":")[0]
    file = getattr(sys.modules.get(module) or importlib.import_module(module), "__file__", None)
    found = files(Path(file), module) if file else {}
    name_files(found.values())
    return texts(found)


@functools.cache
def text_hash(name: str) -> str:
    """Of all the text behind a method, shipped ones included: changes with every edit, also one that changes no number.

    It names nothing; it is what tells a user that a shipped method was edited since a record was made. The rooms' own
    `__init__` are left out: a method that is added to their tables is no edit of the others.
    """
    if ".py:" in name:
        return _hash_from(Path(name.rpartition(":")[0]).expanduser().resolve(), "")
    return class_text_hash(class_of(name))


def class_text_hash(kind: type) -> str:
    """`text_hash` of a class in an importable module, such as a pre-training's objective."""
    return _hash_from(Path(str(sys.modules[kind.__module__].__file__)), kind.__module__)


def _hash_from(path: Path, module: str) -> str:
    tables = {f"{room}/__init__.py" for room in CODE_ROOMS}
    found = sources(path, module, CODE_ROOMS)
    return source_hash({file: text for file, text in found.items() if file not in tables})


@functools.cache
def package_version(package: str) -> str | None:
    """Distribution and version of an importable package, with the commit where it was installed from one.

    Of a package without a distribution (a folder on the path) a hash of its text; None if it is not there.
    """
    for distribution in metadata.packages_distributions().get(package, ()):
        found = metadata.distribution(distribution)
        direct = json.loads(found.read_text("direct_url.json") or "{}")
        commit = direct.get("vcs_info", {}).get("commit_id")
        return f"{distribution}=={found.version}" + (f"@{commit}" if commit else "")
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        return None
    folder = Path(spec.origin).parent
    files = sorted(folder.rglob("*.py")) if spec.submodule_search_locations else [Path(spec.origin)]
    texts = {str(file.relative_to(folder)): file.read_text(errors="replace") for file in files}
    return f"sha256:{source_hash(texts)[:16]}"
