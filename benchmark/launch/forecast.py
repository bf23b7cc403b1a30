"""What a sweep would do: its jobs, their order, and the hours, from records that are there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmark.launch.profile import resources
from benchmark.launch.sweep_file import Entry, Sweep


def forecast(sweep: Sweep, profile: dict[str, Any]) -> dict[str, Any]:
    """Cells, preparations, their order, and hours; `text` says it for a person."""
    missing = [sweep.entries[number] for number in sweep.missing()]
    groups: dict[str, int] = {}
    for entry in missing:
        groups[entry.group] = groups.get(entry.group, 0) + 1
    shared = {group: count for group, count in groups.items() if count > 1}
    hours, unknown = _hours(sweep, missing)
    lines = [f"{len(sweep.entries)} cells, {len(missing)} to do, by {profile['kind']}"]
    lines += [f"  run {entry.label}" for entry in missing]
    if profile["kind"] == "slurm":
        asked = resources(profile)
        lines += _graph(shared, len(missing), asked.array_parallelism)
        gpus = str(asked.gpus or "0").rpartition(":")[2]
        unit, each = ("GPU", int(gpus)) if int(gpus) else ("CPU", asked.cpus)
        if hours:
            lines.append(f"about {hours * each:.1f} {unit}-hours for the cells that are measured already")
    else:
        lines += [f"prepare {group}: once for {count} cells" for group, count in shared.items()]
        if hours:
            lines.append(f"about {hours:.1f} hours for the cells that are measured already, one after the other")
    if unknown:
        lines.append(
            f"no record of {', '.join(unknown)} here yet, so no hours for them (`bench run --dry-run` measures)"
        )
    return {
        "cells": len(sweep.entries),
        "missing": [entry.label for entry in missing],
        "prepare": shared,
        "profile": profile,
        "hours": hours,
        "unknown": unknown,
        "text": "\n".join(lines),
    }


def _graph(shared: dict[str, int], cells: int, most: int) -> list[str]:
    if not shared:
        return [f"one array: {cells} cells, {most} at once"]
    lines = [f"first array: {len(shared)} preparations, {most} at once"]
    lines += [f"  prepare {group}: once for {count} cells" for group, count in shared.items()]
    return [*lines, f"second array, after the first has ended: {cells} cells, {most} at once"]


def _hours(sweep: Sweep, missing: list[Entry]) -> tuple[float, list[str]]:
    """The mean of the timings of this suite, protocol, method and head, for each missing cell that has one."""
    known: dict[tuple[str, ...], list[float]] = {}
    for path in (sweep.out / "records").rglob("*.json"):
        try:
            record = json.loads(path.read_text())
            kind = tuple(record[key] for key in ("protocol", "suite", "method", "head"))
            known.setdefault(kind, []).append(sum(record["timings"].values()) / 3600)
        except (OSError, ValueError, KeyError, AttributeError):
            continue
    total, unknown = 0.0, []
    for entry in missing:
        if not Path(entry.record).is_relative_to(sweep.out / "records"):
            unknown.append(entry.label)  # a pre-training
            continue
        # OUT/records/PROTOCOL/SUITE/TASK/METHOD/HEAD-sSEED.json
        protocol, suite, _, method, head = Path(entry.record).relative_to(sweep.out / "records").parts
        found = known.get((protocol, suite, method, head.rpartition("-s")[0]))
        if found:
            total += sum(found) / len(found)
        else:
            unknown.append(method)
    return total, list(dict.fromkeys(unknown))
