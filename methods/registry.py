"""Methods by name: ours, the baselines, third parties' entry points, or a class in a file.

Names are looked up in tables of "module:Class" strings, so listing them imports neither torch nor any method.
"""

from __future__ import annotations

import importlib
from importlib import metadata
from typing import TYPE_CHECKING

from envs.registry import UnknownName, load_from_file
from methods import METHODS
from methods.card import MethodCard
from methods.errors import BadMethod, raised

if TYPE_CHECKING:
    from methods.base import Representation

ENTRY_POINTS = "bench.methods"
_added: dict[str, str] = {}


def add(table: dict[str, str]) -> None:
    """Offer further methods; rooms above this one hand their tables in. A name may not mean two things."""
    for name, target in table.items():
        if {**METHODS, **_added}.get(name, target) != target:
            raise ValueError(f"method '{name}' is already registered as {({**METHODS, **_added})[name]}")
        _added[name] = target


def table() -> dict[str, str]:
    """Every known name and where its class is. A third party cannot take over a name of ours."""
    others = {point.name: point.value for point in metadata.entry_points(group=ENTRY_POINTS)}
    return {**others, **METHODS, **_added}


def method_class(name: str) -> type[Representation]:
    """The class for a registered name or for `path/to/file.py:Class`.

    Raises `UnknownName` with the closest match, FileNotFoundError, or `BadMethod` if the file cannot be imported or
    the class is no representation with a card.
    """
    if ".py:" in name:
        try:
            found = load_from_file(name)
        except (UnknownName, FileNotFoundError):
            raise
        except (Exception, SystemExit) as error:
            file = name.rpartition(":")[0]
            raise BadMethod(f"{file} cannot be imported: {raised(error, file)}") from error
    else:
        known = table()
        if name not in known:
            raise UnknownName("method", name, known)
        module, _, attribute = known[name].partition(":")
        found = getattr(importlib.import_module(module), attribute)
    from methods.base import Representation

    if not (isinstance(found, type) and issubclass(found, Representation)):
        raise BadMethod(f"{name} is {found!r}, not a subclass of methods.base.Representation")
    if not hasattr(found, "card"):
        raise BadMethod(f"{name} has no card; give the class a `card = MethodCard(...)`")
    if not isinstance(found.card, MethodCard):
        raise BadMethod(f"{name} has a {type(found.card).__name__} as its card; give it a `card = MethodCard(...)`")
    return found
