"""Whether a record's numbers are those that its labels name: `clar` is that protocol's file, to the last number.

`quick+epochs=4` says what is otherwise than in the file, no more and no less (`benchmark.settings.labels`). A label of
very many changes holds a hash of them; of such a one it is only known that there are some.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from benchmark.settings.head import added
from benchmark.settings.labels import WORDS, base_of, changes, in_words, label
from envs.errors import UserError

HASHED = re.compile(r"\d+-changes-[0-9a-f]{8}")


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
    if HASHED.fullmatch(said):
        return
    numbers = {*written, "precision"}
    parts = {part for part in said.split(",") if part.partition("=")[0].partition(".")[0] in numbers}
    wanted = set(in_words(found))
    if not _alike(parts, wanted):
        is_so = ", ".join(sorted(wanted)) or "nothing"
        yield f"it is called {name}, and what its settings change in {base_of(name)} is {is_so}"


def _head(name: str, written: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    found = {key: value for key, value in changes(written, now).items() if key not in WORDS}
    wanted = label(base_of(name), found)
    said, ours = name.partition("+")[2], wanted.partition("+")[2]
    if not (HASHED.fullmatch(said) and found) and not _alike(set(said.split(",")), set(ours.split(","))):
        yield f"its head is called {name}, and its settings are those of {wanted}"


def _alike(parts: set[str], wanted: set[str]) -> bool:
    """Whether they say the same changes; 2 and 2.0 are one number."""
    return {_number(part) for part in parts} == {_number(part) for part in wanted}


def _number(part: str) -> tuple[str, float | str]:
    key, _, value = part.partition("=")
    try:
        return key, float(value)
    except ValueError:
        return key, value
