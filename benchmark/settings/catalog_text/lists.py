"""`bench list` as text: an overview, and each kind in full."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping

import yaml

from baselines.facts import facts_named
from benchmark.settings.catalog_text.entries import LONGEST, entries, entry
from benchmark.settings.catalog_text.seen import WEIGHTS, seen_by, weights_here
from benchmark.settings.load import CONF
from benchmark.system.wrapped import wrapped
from methods.weight_places import weights_folder

Found = Mapping[str, Mapping[str, str]]
"""Kind -> name -> one line, or of methods and policies where the class is (`catalog.listing`)."""

BY_CARD = ("methods", "policies")
MORE = {
    "methods": (
        "Methods are also: any image model of timm or of transformers, `timm:NAME` and `hf:OWNER/NAME`; a class of "
        "yours, `path/to/file.py:Class` (`bench new method` writes one).",
    ),
    "policies": (
        "One that sees a method stands in the place of a head (`--method METHOD --policy NAME`), the others in that of "
        "a method (`--method NAME`).",
    ),
}


def overview(found: Found, width: int) -> str:
    """Every name but those of tasks, which are counted, and second names; what each is stands in the lists in full."""
    parts = [_head("suites of tasks", "suites", _titles(found["suites"]), width)]
    by_sight: dict[str, list[str]] = defaultdict(list)
    for name in found["methods"]:
        facts = facts_named(name)
        if facts is None or facts.name == name:
            by_sight["(yours)" if facts is None else seen_by(facts)].append(name)
    usual = sorted(by_sight.items(), key=lambda item: -len(item[1]))
    sights = {sight: ", ".join(names) for sight, names in usual}
    parts.append(_head("methods, by what they see", "methods", sights, width))
    counts = Counter(task.partition("/")[0] for task in found["tasks"])
    others = {
        "policies": ", ".join(found["policies"]),
        "heads": ", ".join(found["heads"]),
        "protocols": ", ".join(found["protocols"]),
        "data": ", ".join(found["data"]),
        "tasks": ", ".join(f"{count} of {simulator}" for simulator, count in counts.items()),
    }
    parts.append(_lines("the rest (bench list KIND says what each is)", others, width))
    parts.append(wrapped("bench show NAME tells all about one, and ends with a command to run it.", width))
    return "\n\n".join(parts)


def in_full(found: Found, width: int) -> str:
    parts = []
    for kind, names in found.items():
        parts.append(_by_card(kind, names, width) if kind in BY_CARD else _lines(kind, names, width))
    return "\n\n".join(parts)


def _head(title: str, kind: str, lines: Mapping[str, str], width: int) -> str:
    return _lines(f"{title} (bench list {kind})", lines, width)


def _titles(suites: Iterable[str]) -> dict[str, str]:
    """A user's suite says its own where it has one."""
    found = {}
    for name in suites:
        file = CONF / "suite" / f"{name}.yaml"
        found[name] = str(yaml.safe_load(file.read_text())["title"]) if file.is_file() else "yours"
    return found


def _lines(title: str, lines: Mapping[str, str], width: int) -> str:
    return "\n".join([f"{title}:", *entries(lines.items(), width)])


def _by_card(kind: str, names: Mapping[str, str], width: int) -> str:
    """Name, what it sees, its weights, its title; another name of the same class says so."""
    folder = weights_folder()
    rows: dict[str, tuple[str, str, str] | str] = {}
    for name, target in names.items():
        facts = facts_named(name)
        if facts is None:
            rows[name] = f"yours, or another package's: {target}"
        elif facts.name != name:
            rows[name] = f"another name of {facts.name}"
        else:
            rows[name] = (seen_by(facts), weights_here(facts, folder), facts.title)
    heads = ("sees", "weights", "")
    whole = [row for row in rows.values() if not isinstance(row, str)]
    widths = [max(map(len, column)) for column in zip(heads, *whole, strict=True)][:2]
    room = max(map(len, (f"{kind}:", *(name for name in names if len(name) <= LONGEST))))
    lines = [f"{kind + ':':<{room + 2}}  {heads[0]:<{widths[0]}}  {heads[1]}"]
    for name, row in rows.items():
        text = row if isinstance(row, str) else "  ".join((f"{row[0]:<{widths[0]}}", f"{row[1]:<{widths[1]}}", row[2]))
        lines.append(entry(name, text, room, width))
    said = {row[1] for row in whole}
    meant = "; ".join(f"{word}: {meaning}" for word, meaning in WEIGHTS.items() if word in said).format(folder=folder)
    notes = [f"Weights: {meant}.", *MORE[kind]]
    return "\n".join([*lines, "", *(wrapped(note, width, "", "    ") for note in notes)])
