"""The committed table of what every shipped method computes at its card's version.

    python -m benchmark.encoders.write_certificates            # lines that are new or whose version was raised
    python -m benchmark.encoders.write_certificates dp3 clar   # of these methods alone

A line whose version was not raised is never overwritten by one that says something else: whoever changes what a method
computes has to raise `version` on its card, which is part of a record's identity.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from baselines import BASELINES
from baselines.hub import FAMILIES
from benchmark.encoders.specs import encoder_specs
from benchmark.system.files import write_json
from benchmark.system.progress import say
from methods import METHODS, registry
from methods.behaviour import behaviour, departures
from methods.card import MethodCard
from methods.registry import method_class

TABLE = Path(__file__).resolve().parents[2] / "tests" / "golden" / "certificates.json"
COMMAND = "python -m benchmark.encoders.write_certificates"


def shipped() -> list[str]:
    """Every method of ours once, under its card's name."""
    registry.add(BASELINES)
    registry.add_families(FAMILIES)
    return sorted({method_class(name).card.name for name in {**METHODS, **BASELINES}})


def lines(card: MethodCard) -> dict[str, dict[str, str]]:
    """The card's lines in the table and their options: as published, and each other value of each option."""
    found: dict[str, dict[str, str]] = {card.name: {}}
    for option in card.options:
        for value in option.allowed:
            if value != option.default:
                found[f"{card.name}+{option.name}={value}"] = {option.name: value}
    return found


def absent_package(card: MethodCard) -> str | None:
    return next((package for package, _ in card.requires if importlib.util.find_spec(package) is None), None)


def certify(name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each line of one method, computed now. A method whose package is not installed says so and no more."""
    kind = method_class(name)
    for line, options in lines(kind.card).items():
        head: dict[str, Any] = {"version": kind.card.version}
        package = absent_package(kind.card)
        if package is not None:
            yield line, {**head, "skipped": f"the package {package} is not installed"}
        else:
            under = kind.under(options)
            found = json.loads(json.dumps(behaviour(under, encoder_specs(under.card), options)))
            yield line, {**head, "torch": torch.__version__, **found}


def read_table(path: Path = TABLE) -> dict[str, Any]:
    return json.loads(path.read_text()) if path.exists() else {}


def complaint(line: str, here: Mapping[str, Any], table: Mapping[str, Any]) -> str | None:
    """One sentence if a computed line is not what the table says, None if it is."""
    there = table.get(line)
    if there is None:
        return f"{line} is not in the table of certificates: run `{COMMAND}` to add it"
    if here["version"] != there["version"]:
        return f"{line} is at version {here['version']} and its certificate at {there['version']}: run `{COMMAND}`"
    if "skipped" in here or "skipped" in there:
        return None  # one of the two machines could not compute it
    found = departures(here, there)
    if not found:
        return None
    made = "" if here["torch"] == there["torch"] else f"; torch {here['torch']} here, {there['torch']} in the table"
    return (
        f"{line} computes something else than at version {there['version']} ({'; '.join(found[:3])}{made}): if that is "
        f"meant, raise `version` on its card and run `{COMMAND}` to write the table anew"
    )


def renew(names: Sequence[str], path: Path = TABLE) -> list[str]:
    """Write the table's missing and outdated lines; returns what was refused. The others stay to the last digit."""
    table, refused = read_table(path), []
    known = {line for name in shipped() for line in lines(method_class(name).card)}
    table = {line: entry for line, entry in table.items() if line in known}
    for name in names:
        for line, here in certify(name):
            there = table.get(line)
            fresh = there is None or here["version"] > there["version"]
            fresh = fresh or ("skipped" in (there or {}) and "skipped" not in here)
            problem = None if fresh else complaint(line, here, table)
            if fresh:
                table[line] = here
                say(f"{line}: version {here['version']} written")
            elif problem is not None:
                refused.append(problem)
    write_json(path, table)
    return refused


def main(arguments: Sequence[str]) -> int:
    """Exit code 1 if a line was refused."""
    refused = renew(list(arguments) or shipped())
    for problem in refused:
        say(f"refused: {problem}")
    return 1 if refused else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
