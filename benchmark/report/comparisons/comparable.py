"""Which records may be pooled, and which may stand in one table: the one rule that every output follows.

Two records are pooled (as training seeds, or as tasks of one row) only if everything that could change the number is
equal: all of their identity but the task and the seed; of a joint policy, the tasks that it was trained on. Methods
are compared only if all that is not their own is equal: protocol, simulator, demonstrations, and what is drawn for
whoever sees. What differs is set apart, and named.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

from benchmark.records.pooling import pooled_facts
from benchmark.records.record import Record
from benchmark.records.shipped_methods import reported_as
from benchmark.settings.labels import base_of

OWN = ("method", "head")
"""What belongs to a row of a table."""

OWN_OBSERVATION = ("fields", "num_points")
"""What a method asks for; the rest of an observation is the same for all who see."""

MEANS = {"method.source": "other code, method.source", "env.source": "another simulator's code, env.source"}
SAMPLER = "env.packages.fpsample"
MOST_NAMED = 6
"""Of this project's own records; more of them are counted."""


def comparable(
    records: Sequence[Record], changed: Callable[[Record], Collection[str]] = lambda _: ()
) -> tuple[list[Record], list[str]]:
    """Keep the records of the most common conditions; name the others, with what is different about them.

    changed: of a row of an ablation, the aspects that it is about, which set it apart from no other row: names such as
    `observation.views`, `demonstrations`, and `env.version control` for one of the words of a version.

    First what all rows of a table have to share, then the demonstrations of each task, then the whole of each row.
    Of equally common conditions those of the record that comes first stay.
    """
    apart: dict[int, str] = {}

    def but(aspects: Callable[[Record], dict[str, Any]]) -> Callable[[Record], dict[str, Any]]:
        return lambda record: _without(aspects(record), changed(record))

    kept = _alike(list(records), but(_shared), apart, absent_differs=True)
    kept = _alike(_alike(kept, but(_seen), apart), but(_demonstrations), apart)
    rows: dict[tuple[str, ...], list[Record]] = defaultdict(list)
    for record in kept:
        rows[record.method, record.head, *changed(record)].append(record)
    for members in rows.values():
        _alike(members, _whole, apart, absent_differs=True)
    notes: dict[str, list[str]] = defaultdict(list)
    for record in records:
        if id(record) in apart:
            notes[apart[id(record)]].append(f"{record.task}/{record.method}/{record.head}-s{record.seed}")
    said = [
        f"excluded because made under other conditions ({why}): {', '.join(sorted(names))}."
        for why, names in sorted(notes.items())
    ]
    return [r for r in records if id(r) not in apart], said


def other_labels(records: Sequence[Record], suite: str, protocol: str) -> list[str]:
    """A note about records of this suite under the same protocol with other numbers, which are in another table."""
    there = Counter(
        r.protocol
        for r in records
        if r.suite == suite and r.protocol != protocol and base_of(r.protocol) == base_of(protocol)
    )
    return [
        f"not in this table: {count} {'record' if count == 1 else 'records'} under {label} (--protocol {label} shows "
        "them)."
        for label, count in sorted(there.items())
    ]


def unequal(records: Sequence[Record]) -> list[str]:
    """What is not the same for all records of one table and does not keep them apart, as footnotes."""
    notes = []
    drawn: dict[str, set[str]] = defaultdict(set)
    computed: dict[str, set[str]] = defaultdict(set)
    steps: dict[int, set[str]] = defaultdict(set)
    for record in records:
        if record.identity["observation"].get("cameras"):
            drawn[record.fingerprint].add(record.method)
        torch, machine = record.provenance.get("versions", {}).get("torch"), record.provenance.get("machine", {})
        computed[f"torch {torch} on {machine.get('device')}"].add(record.method)
        steps[record.training.get("optimizer_steps", 0)].add(record.method)
    if len(drawn) > 1:
        said = "; ".join(f"{', '.join(sorted(methods))}: {name}" for name, methods in sorted(drawn.items()))
        notes.append(f"not drawn by the same software: {said}.")
    if len(computed) > 1:
        said = "; ".join(f"{', '.join(sorted(methods))}: {name}" for name, methods in sorted(computed.items()))
        notes.append(f"not computed by the same software, which rounds otherwise: {said}.")
    if len(steps) > 1:
        said = "; ".join(f"{count:,}: {', '.join(sorted(methods))}" for count, methods in sorted(steps.items()))
        notes.append(f"not trained for equally many optimiser steps (--protocol matched makes them equal): {said}.")
    untrained = sorted({record.method for record in records if record.weights.get("untrained")})
    if untrained:
        notes.append(f"untrained: random weights where the method has pre-trained ones: {', '.join(untrained)}.")
    return notes


def row_name(record: Record) -> str:
    """Where a record stands in a table: the paper's row, or one of its own, whatever it is called."""
    return reported_as(record) or f"own {record.method}"


def row_labels(records: Sequence[Record]) -> dict[tuple[str, str], str]:
    """(method, head) -> how the row of these records is called; this project's own are marked in a user's table."""
    members: dict[tuple[str, str], list[Record]] = defaultdict(list)
    for record in records:
        members[record.method, record.head].append(record)
    return {(method, head): f"{method}, {head}{reference_mark(own)}" for (method, head), own in members.items()}


def reference_mark(records: Sequence[Record]) -> str:
    known = {record.reference for record in records}
    return " (reference)" if known == {True} else " (partly reference)" if True in known else ""


def reference_notes(records: Sequence[Record]) -> list[str]:
    """Which of the records behind a comparison are this project's own; of many, how many of each method."""
    own = [record for record in records if record.reference]
    said = ", ".join(sorted(f"{r.task}/{r.method}/{r.head}-s{r.seed}" for r in own))
    if len(own) > MOST_NAMED:
        counts = Counter(f"{r.method}, {r.head}" for r in own)
        said = "; ".join(f"{count} of {row}" for row, count in sorted(counts.items()))
    return [f"reference, this project's own records: {said}."] if own else []


def _without(facts: dict[str, Any], changed: Collection[str]) -> dict[str, Any]:
    found = {name: value for name, value in facts.items() if not name.startswith(tuple(changed))}
    for name, _, word in (one.partition(" ") for one in changed):
        if word and name in found:
            found[name] = ", ".join(one for one in str(found[name]).split(", ") if not one.startswith(f"{word}="))
    return found


def _shared(record: Record) -> dict[str, Any]:
    """Aspect -> value, for what is the same for all rows of a table."""
    facts = {key: value for key, value in pooled_facts(record).items() if key not in (*OWN, "observation")}
    found = dict(_flat(facts))
    found.pop(SAMPLER, None)
    if found.get("env.packages") == {}:  # of a simulator that depends on none, as it is for whoever samples points
        del found["env.packages"]
    return found


def _seen(record: Record) -> dict[str, Any]:
    """What is drawn for whoever sees. Methods without cameras are comparable with any camera, and only who samples
    points has a sampler: here an aspect that a record does not have keeps nothing apart."""
    observation = record.identity.get("observation", {})
    found = {f"observation.{key}": value for key, value in observation.items() if key not in OWN_OBSERVATION}
    sampler = dict(_flat(record.identity)).get(SAMPLER)
    if sampler is not None:
        found[SAMPLER] = sampler
    return found if observation.get("cameras") else {}


def _demonstrations(record: Record) -> dict[str, Any]:
    return {f"demonstrations of {record.task}": record.demo_hash[:12]}


def _whole(record: Record) -> dict[str, Any]:
    return dict(_flat(pooled_facts(record)))


def _flat(data: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in data.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _alike(
    members: list[Record],
    aspects: Callable[[Record], dict[str, Any]],
    apart: dict[int, str],
    absent_differs: bool = False,
) -> list[Record]:
    """Those with the most common value of each aspect; why the others are not is put into `apart`.

    absent_differs: whether a record without an aspect is unlike one with it (a setting that came later is there only
    where it was changed); else it stands beside any, as a method without cameras does.
    """
    facts = {id(record): aspects(record) for record in members}
    for name in dict.fromkeys(name for found in facts.values() for name in found):
        having = [record for record in members if absent_differs or facts[id(record)].get(name) is not None]
        texts = {id(record): repr(facts[id(record)].get(name)) for record in having}
        counts = Counter(texts.values())
        if len(counts) < 2:
            continue
        common = counts.most_common(1)[0][0]
        usual = next(facts[id(record)].get(name) for record in having if texts[id(record)] == common)
        for record in having:
            if texts[id(record)] != common:
                own, other = _apart(facts[id(record)].get(name), usual)
                apart[id(record)] = f"{MEANS.get(name, name)} {own} instead of {other}"
        members = [record for record in members if id(record) not in apart]
    return members


def _apart(own: Any, usual: Any) -> tuple[str, str]:
    """Both in a few words; of two lists in words, as a simulator's version is, what the other lacks."""
    if not (isinstance(own, str) and isinstance(usual, str)):
        return _said(own), _said(usual)
    return _said(lacking(usual, own), 60), _said(lacking(own, usual), 60)


def lacking(there: str, here: str) -> str:
    """Of words between commas, those `here` that are not `there`; `none` if there are none."""
    found = [word for word in here.split(", ") if word not in there.split(", ")]
    return ", ".join(found) or "none"


def _said(value: Any, most: int = 24) -> str:
    text = " ".join(map(str, value)) if isinstance(value, (list, tuple)) else "none" if value is None else str(value)
    return text if len(text) <= most else f"{text[: most - 3]}..."
