"""Methods by name: ours, the baselines, third parties' entry points, or a class in a file.

Names are looked up in tables of "module:Class" strings, so listing them imports neither torch nor any method.
"""

from __future__ import annotations

import functools
import importlib
from importlib import metadata
from typing import TYPE_CHECKING

from envs.registry import BrokenFile, UnknownName, load_from_file
from methods import METHODS
from methods.card import MethodCard
from methods.errors import BadMethod

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
    return {**_third_parties(), **METHODS, **_added}


@functools.cache
def _third_parties() -> dict[str, str]:
    return {point.name: point.value for point in metadata.entry_points(group=ENTRY_POINTS)}


def is_shipped(name: str) -> bool:
    """Whether a name is one of this project's own methods: not a user's file, not a third party's package."""
    return name in METHODS or name in _added


def target_of(name: str) -> str:
    """`module:Class` of a registered name. Raises `UnknownName`."""
    known = table()
    if name not in known:
        raise UnknownName("method", name, known)
    return known[name]


def method_class(name: str) -> type[Representation]:
    """The class for a registered name or for `path/to/file.py:Class`.

    Raises `UnknownName` with the closest match, FileNotFoundError, or `BadMethod` if the file cannot be imported, the
    class is no representation with a card, or it takes a name that means another method.
    """
    if ".py:" in name:
        try:
            found = load_from_file(name)
        except BrokenFile as error:
            raise BadMethod(str(error)) from error
    else:
        module, _, attribute = target_of(name).partition(":")
        found = getattr(importlib.import_module(module), attribute)
    from methods.base import Representation

    if not (isinstance(found, type) and issubclass(found, Representation)):
        raise BadMethod(f"{name} is {found!r}, not a subclass of methods.base.Representation")
    if not hasattr(found, "card"):
        raise BadMethod(f"{name} has no card; give the class a `card = MethodCard(...)`")
    if not isinstance(found.card, MethodCard):
        raise BadMethod(f"{name} has a {type(found.card).__name__} as its card; give it a `card = MethodCard(...)`")
    if not is_shipped(name):
        _refuse_borrowed_names(name, found)
    return found


def _refuse_borrowed_names(name: str, found: type[Representation]) -> None:
    """A number of a user's code must never stand under the name of a method that everybody knows."""
    card = found.card
    if "card" not in vars(found):
        raise BadMethod(f"{name} has no card of its own, only {found.__mro__[1].__name__}'s: give the class a card")
    known = table()
    if card.name != name and card.name.casefold() in {one.casefold() for one in known}:
        raise BadMethod(
            f"{name} calls itself {card.name} on its card, which is a registered method: give the card another name, "
            f"such as my-{card.name}"
        )
    if card.reported_as is not None:
        raise BadMethod(
            f"{name} says reported_as={card.reported_as!r}: rows of the papers' tables belong to the methods that are "
            "shipped; leave reported_as out, and it gets a row of its own"
        )
