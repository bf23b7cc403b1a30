"""Methods by name: ours, the baselines, third parties' entry points, or a class in a file.

Names are looked up in tables of "module:Class" strings, so listing them imports neither torch nor any method.
"""

from __future__ import annotations

import functools
import importlib
from importlib import metadata
from typing import TYPE_CHECKING, Any

from envs.registry import BrokenFile, UnknownName, load_from_file
from methods import METHODS
from methods.card import MethodCard
from methods.errors import BadMethod, is_machines, raised
from methods.policy_card import PolicyCard

if TYPE_CHECKING:
    from methods.base import Representation
    from methods.policy import Policy

ENTRY_POINTS = "bench.methods"


_added: dict[str, str] = {}
_families: dict[str, str] = {}


def add(table: dict[str, str]) -> None:
    """Offer further methods; rooms above this one hand their tables in. A name may not mean two things."""
    for name, target in table.items():
        if {**METHODS, **_added}.get(name, target) != target:
            raise ValueError(f"method '{name}' is already registered as {({**METHODS, **_added})[name]}")
        _added[name] = target


def add_families(families: dict[str, str]) -> None:
    """Offer methods that no table lists: `timm:NAME` by what stands before the colon, and where the function is that
    makes the class of NAME. Cards call them `timm-NAME`, with `--` for a slash, and that names them, too.
    """
    _families.update(families)


def _in_family(name: str) -> tuple[str, str] | None:
    """Where the function is, and the name it takes; None for other names."""
    for family, target in _families.items():
        if name.startswith(f"{family}:") and ".py:" not in name:
            return target, name.removeprefix(f"{family}:")
        if name.startswith(f"{family}-") and name not in table():
            return target, name.removeprefix(f"{family}-").replace("--", "/")
    return None


def is_known(name: str) -> bool:
    """Whether a name, or a card's name, leads to a method that is installed here."""
    return name in table() or _in_family(name) is not None


def table() -> dict[str, str]:
    """Every known name and where its class is. A third party cannot take over a name of ours."""
    return {**_third_parties(), **METHODS, **_added}


@functools.cache
def _third_parties() -> dict[str, str]:
    return {point.name: point.value for point in metadata.entry_points(group=ENTRY_POINTS)}


def is_shipped(name: str) -> bool:
    """Whether a name is one of this project's own methods: not a user's file, not a third party's package."""
    return name in METHODS or name in _added or (".py:" not in name and _in_family(name) is not None)


def target_of(name: str) -> str:
    """`module:Class` of a registered name. Raises `UnknownName`."""
    known = table()
    if name not in known:
        raise UnknownName("method", name, known)
    return known[name]


def method_class(name: str) -> type[Representation]:
    """The representation for a registered name, for a hub's model (`timm:NAME`) or for `path/to/file.py:Class`. Raises
    as `class_of`, and `BadMethod` for a policy.
    """
    from methods.base import Representation

    found = class_of(name)
    if not issubclass(found, Representation):
        raise BadMethod(f"{name} is a policy, not a representation: give it as --policy {name}")
    return found


def policy_class(name: str) -> type[Policy]:
    """As `method_class`, for a policy."""
    from methods.policy import Policy

    found = class_of(name)
    if not issubclass(found, Policy):
        raise BadMethod(f"{name} is a representation, not a policy: give it as --method {name}")
    return found


def class_of(name: str) -> type[Representation] | type[Policy]:
    """The class for a registered name, for a hub's model (`timm:NAME`) or for `path/to/file.py:Class`.

    Raises `UnknownName` with the closest match, FileNotFoundError, or `BadMethod` if the file cannot be imported, the
    class is no representation or policy with a card, or it takes a name that means another method.
    """
    if ".py:" in name:
        try:
            found = load_from_file(name)
        except BrokenFile as error:
            raise BadMethod(str(error)) from error
    elif (of_family := _in_family(name)) is not None:
        module, _, attribute = of_family[0].partition(":")
        found = getattr(importlib.import_module(module), attribute)(of_family[1])
    else:
        module, _, attribute = target_of(name).partition(":")
        found = getattr(importlib.import_module(module), attribute)
    try:
        _check(name, found)
    except BadMethod:
        raise
    except BaseException as error:  # what a class does when it is looked at: a metaclass, a property
        if is_machines(error):
            raise
        raise BadMethod(f"{name} raised {raised(error, name.rpartition(':')[0])} when its card was read") from error
    return found


def _check(name: str, found: Any) -> None:
    from methods.base import Representation
    from methods.policy import Policy

    if not isinstance(found, type):
        raise BadMethod(f"{name} is a {type(found).__name__}, not a class; write `class Mine(Representation)`")
    if not issubclass(found, Representation | Policy):
        raise BadMethod(
            f"{name} is not a subclass of methods.base.Representation; write `class {found.__name__}(Representation)`"
        )
    if not hasattr(found, "card"):
        raise BadMethod(f"{name} has no card; give the class a `card = MethodCard(...)`")
    if issubclass(found, Policy) and not isinstance(found.card, PolicyCard):
        raise BadMethod(f"{name} has a {type(found.card).__name__} as its card; give it a `card = PolicyCard(...)`")
    if not isinstance(found.card, MethodCard):
        raise BadMethod(f"{name} has a {type(found.card).__name__} as its card; give it a `card = MethodCard(...)`")
    if not is_shipped(name):
        _refuse_borrowed_names(name, found)


def _refuse_borrowed_names(name: str, found: type[Representation] | type[Policy]) -> None:
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
