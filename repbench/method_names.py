"""How a method that is given as a class is called: a record names code by a registered name or `file.py:Class`."""

from __future__ import annotations

import ast
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmark.system.errors import ConfigError
from methods.base import Representation
from methods.policy import Policy
from methods.registry import table

Method = str | type[Representation]


def method_names(method: Method | Sequence[Method]) -> list[str]:
    """Names for `benchmark.experiment.make_cells`, each once. Raises `ConfigError`."""
    given = [method] if isinstance(method, str | type) else list(method)
    if not given:
        raise ConfigError("no method: give a name, file.py:Class or a class that stands in a file")
    return list(dict.fromkeys(one if isinstance(one, str) else _of_class(one) for one in given))


def policy_name(kind: type[Policy]) -> str:
    """As `method_names`, for a policy's class."""
    if not issubclass(kind, Policy):
        raise ConfigError(f"policy={kind!r} is no subclass of Policy")
    return _place(kind)


def _of_class(kind: type[Representation]) -> str:
    if not isinstance(kind, type) or not issubclass(kind, Representation):
        raise ConfigError(f"method={kind!r} is neither a name nor a subclass of Representation")
    return _place(kind)


def _place(kind: type[Representation] | type[Policy]) -> str:
    target = f"{kind.__module__}:{kind.__qualname__}"
    known = [name for name, place in table().items() if place == target]
    if known:
        card = getattr(kind, "card", None)
        return card.name if card is not None and card.name in known else known[0]
    file = getattr(sys.modules.get(kind.__module__), "__file__", None)
    if file is None:
        raise ConfigError(
            f"{kind.__qualname__} was made in a notebook's cell or at a prompt, and a record must be able to name the "
            "code that made its number: write the class into a file, and give method='file.py:Class' or import it"
        )
    if not _stands_in(Path(file), kind.__qualname__):
        raise ConfigError(
            f"{kind.__qualname__} does not stand at the top level of {file}, and a record names a method as "
            "file.py:Class: move the class there"
        )
    return f"{Path(file).resolve()}:{kind.__qualname__}"


def _stands_in(file: Path, name: str) -> bool:
    """Whether the file's text defines a class of this name outside of functions and classes."""
    try:
        tree = ast.parse(file.read_bytes(), str(file))
    except (OSError, SyntaxError, ValueError):
        return False
    inside = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.ClassDef):
            if node.name == name:
                return True
        elif not isinstance(node, inside):
            waiting += ast.iter_child_nodes(node)
    return False
