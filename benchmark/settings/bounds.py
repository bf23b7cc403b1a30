"""Settings are checked by their types: `epochs: Annotated[int, Range(1, 100_000)]` says what is allowed, once.

A dataclass of settings calls `check_bounds` when it is made, so that what code makes by hand is checked like what is
read from the command line. NaN and infinity are in no range, and True and False are no numbers.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from benchmark.system.errors import ConfigError


@dataclass(frozen=True)
class Range:
    """From `low` to `high`, both included unless it is said otherwise."""

    low: float
    high: float
    above_low: bool = False
    below_high: bool = False

    def __contains__(self, value: float) -> bool:
        """Whether the number is allowed; NaN never is."""
        above = value > self.low if self.above_low else value >= self.low
        return above and (value < self.high if self.below_high else value <= self.high)

    def __str__(self) -> str:
        first = f"more than {_plain(self.low)}" if self.above_low else f"at least {_plain(self.low)}"
        last = f"less than {_plain(self.high)}" if self.below_high else f"at most {_plain(self.high)}"
        return f"{first} and {last}"


Count = Annotated[int, Range(1, 1_000_000)]
Rate = Annotated[float, Range(0, 1_000, above_low=True)]
Factor = Annotated[float, Range(0, 1_000)]
Share = Annotated[float, Range(0, 1, below_high=True)]


def _plain(number: float) -> str:
    return f"{number:,}" if isinstance(number, int) else f"{number:g}"


def check_bounds(settings: Any, group: str) -> None:
    """Raise `ConfigError` for the first field that is not what its annotation says: its type, its range.

    settings: a dataclass. group: what the user calls it, such as `protocol`; the message names `group.field`.
    """
    for name, hint in hints(type(settings)).items():
        value = getattr(settings, name)
        if not fits(value, hint):
            raise ConfigError(f"{group}.{name}={shown(value)} is not allowed: it must be {described(hint)}")


def one_of(name: str, value: object, allowed: Sequence[str]) -> None:
    """Raise `ConfigError` for a word that is none of those."""
    if value not in allowed:
        raise ConfigError(f"{name}={shown(value)} is none of {', '.join(allowed)}")


def hints(kind: Any) -> Mapping[str, Any]:
    """Field -> annotation of a dataclass, ranges included."""
    return _hints(kind)


@functools.cache
def _hints(kind: Any) -> Mapping[str, Any]:
    """Once for a class: each cell of a sweep asks."""
    found = get_type_hints(kind, include_extras=True)
    return types.MappingProxyType({field.name: found[field.name] for field in dataclasses.fields(kind)})


def plain_type(hint: Any) -> Any:
    """An annotation without its range."""
    return get_args(hint)[0] if get_origin(hint) is Annotated else hint


def fits(value: Any, hint: Any) -> bool:
    """Whether a value is of the annotated type, its elements too, and in the annotated range."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return fits(value, inner[0]) and all(value in one for one in inner[1:] if isinstance(one, Range))
    if origin in (Union, types.UnionType):
        return any(fits(value, one) for one in inner)
    if origin is Literal:
        return isinstance(value, str) and value in inner
    if origin is tuple:
        if not isinstance(value, (tuple, list)):
            return False
        if len(inner) == 2 and inner[1] is Ellipsis:
            return all(fits(one, inner[0]) for one in value)
        return len(value) == len(inner) and all(fits(one, part) for one, part in zip(value, inner, strict=True))
    if origin in (Mapping, dict):
        return isinstance(value, Mapping) and all(fits(k, inner[0]) and fits(v, inner[1]) for k, v in value.items())
    if hint is Any:
        return True
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if hint is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool) and _finite(value)
    return isinstance(value, hint)


def _finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number that no float holds
        return False


def described(hint: Any) -> str:
    """An annotation for a person: `a whole number, at least 1 and at most 100`."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Annotated:
        ranges = [str(one) for one in inner[1:] if isinstance(one, Range)]
        return ", ".join([described(inner[0]), *ranges])
    if origin in (Union, types.UnionType):
        return ", or ".join(described(one) for one in inner)
    if origin is Literal:
        return " or ".join(map(repr, inner))
    if origin is tuple and inner[-1] is Ellipsis:
        return f"a list of which each is {described(inner[0])}"
    if origin is tuple:
        return f"a list of {len(inner)}: {'; '.join(map(described, inner))}"
    if origin in (Mapping, dict):
        return f"keys with values of which each is {described(inner[1])}"
    words: Mapping[Any, str] = {
        int: "a whole number",
        float: "a finite number",
        bool: "true or false",
        str: "a text",
        types.NoneType: "null",
    }
    return words.get(hint, getattr(hint, "__name__", str(hint)))


def shown(value: Any) -> str:
    """A value in a message: short whatever it is."""
    if isinstance(value, Mapping):
        text = "{" + ", ".join(f"{key}: {one}" for key, one in value.items()) + "}"
    elif isinstance(value, Sequence) and not isinstance(value, str):
        text = "[" + ", ".join(map(str, value)) + "]"
    else:
        try:
            text = repr(value)
        except ValueError:  # a whole number of more digits than Python prints
            text = "a number of thousands of digits"
    return text if len(text) <= 80 else f"{text[:60]}... ({len(text)} characters)"
