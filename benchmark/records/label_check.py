"""Whether a record's numbers are those that its labels name: `clar` is that protocol's file, to the last number.

`quick+epochs=4` says what is otherwise than in the file, no more and no less (`benchmark.settings.labels`). A label of
very many changes has their number and a hash of them in their place, `quick+9-changes-71f924f4`. Where some of them are
the suite's, of which a record does not keep all, only their number is compared.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from benchmark.settings.head import added
from benchmark.settings.labels import WORDS, base_of, changes, hashed, in_words, label
from envs.errors import UserError

HASHED = re.compile(r"(\d+)-changes-[0-9a-f]{8}")


def misnamed(protocol: str, head: str, identity: Mapping[str, Any]) -> Sequence[str]:
    """Sentences; none where labels and numbers agree, or where the protocol or the head is not known here."""
    settings = {key: identity[key] for key in ("protocol", "head", "precision")}
    return _misnamed(protocol, head, json.dumps(settings, sort_keys=True))


@functools.lru_cache(maxsize=1024)
def _misnamed(protocol: str, head: str, settings: str) -> tuple[str, ...]:
    """Remembered: the cells of a sweep have the same settings."""
    return tuple(_sentences(protocol, head, json.loads(settings)))


def _sentences(protocol: str, head: str, identity: Mapping[str, Any]) -> Iterator[str]:
    from benchmark.settings.load import choices, head_from, load_head, load_protocol, settle
    from benchmark.settings.protocol import Protocol

    try:
        if base_of(protocol) in choices("protocol"):
            written = load_protocol(base_of(protocol))
            now = settle(Protocol, {**dataclasses.asdict(written), **identity["protocol"]}, "protocol")
            yield from _protocol(protocol, identity["precision"], dataclasses.asdict(written), dataclasses.asdict(now))
        if base_of(head) in choices("head"):
            usual = load_head(base_of(head))
            numbers = {key: value for key, value in identity["head"].items() if key != "packages"}
            whole = dataclasses.asdict(usual)
            today = dataclasses.asdict(head_from({**whole, **added(numbers), **numbers}))
            # a label from before a head's file had its newest settings says nothing of them
            then = dataclasses.asdict(head_from({**whole, **numbers}))
            if list(_head(head, whole, then)):
                yield from _head(head, whole, today)
    except UserError as error:
        yield f"its settings cannot be run: {error}"


def _protocol(name: str, precision: str, written: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    found = {key: value for key, value in changes(written, now).items() if key not in WORDS}
    if precision != "fp32":
        found["precision"] = precision
    said = name.partition("+")[2]
    if count := HASHED.fullmatch(said):
        if len(found) > int(count[1]) or (len(found) == int(count[1]) and not _hash_of(said, found)):
            is_so = ", ".join(in_words(found)) or "nothing"
            yield f"it is called {name}, and what its settings change in {base_of(name)} is {is_so}"
        return
    numbers = {*written, "precision"}
    parts = {part for part in said.split(",") if part.partition("=")[0].partition(".")[0] in numbers}
    wanted = set(in_words(found))
    if not _alike(parts, wanted):
        is_so = ", ".join(sorted(wanted)) or "nothing"
        yield f"it is called {name}, and what its settings change in {base_of(name)} is {is_so}"


def _head(name: str, written: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    found = {key: value for key, value in changes(written, now).items() if key not in WORDS}
    said = name.partition("+")[2]
    same = (
        _hash_of(said, found)
        if HASHED.fullmatch(said)
        else _alike(set(filter(None, said.split(","))), set(in_words(found)))
    )
    if not same:
        yield f"its head is called {name}, and its settings are those of {label(base_of(name), found)}"


def _hash_of(said: str, found: Mapping[str, Any]) -> bool:
    """Whether it is the hash of these changes, 2.0 said as 2 or as 2.0."""
    whole = [key for key, value in found.items() if isinstance(value, float) and value.is_integer()]
    as_said = itertools.product((float, int), repeat=len(whole))
    return any(
        said == hashed({**found, **{k: t(found[k]) for k, t in zip(whole, kinds, strict=True)}}) for kinds in as_said
    )


def _alike(parts: set[str], wanted: set[str]) -> bool:
    """Whether they say the same changes; 2 and 2.0 are one number."""
    return {_number(part) for part in parts} == {_number(part) for part in wanted}


def _number(part: str) -> tuple[str, float | str]:
    key, _, value = part.partition("=")
    try:
        return key, float(value)
    except ValueError:
        return key, value
