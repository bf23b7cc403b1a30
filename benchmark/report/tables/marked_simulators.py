"""Records of one simulator in several versions, or with several options of its own, told apart in a list of cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmark.records.record import Record
from benchmark.report.comparisons.comparable import lacking


@dataclass(frozen=True)
class Marked:
    """marks: (simulator, version) -> what stands behind a method's name, nothing where a simulator has one version."""

    marks: dict[tuple[str, str], str]
    notes: list[str]


def simulator_of(record: Record) -> tuple[str, str]:
    """Its name and its version, which says every option that a number depends on."""
    env = record.identity["env"]
    return str(env["name"]), str(env["version"])


def marked_simulators(records: Sequence[Record]) -> Marked:
    """In the order of `records`."""
    marks: dict[tuple[str, str], str] = {}
    notes = []
    found = list(dict.fromkeys(map(simulator_of, records)))
    for name in dict.fromkeys(name for name, _ in found):
        versions = [version for other, version in found if other == name]
        if len(versions) < 2:
            continue
        common = [word for word in versions[0].split(", ") if all(word in one.split(", ") for one in versions)]
        said = []
        for version in versions:
            mark = f" #{len(marks) + 1}"
            marks[name, version] = mark
            said.append(f"{mark.strip()} {lacking(', '.join(common), version)}")
        notes.append(f"{name} was not the same, so what differs in it does not compare: {'; '.join(said)}.")
    return Marked(marks, notes)
