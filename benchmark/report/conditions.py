"""Which records may stand beside each other: those that were made under the same conditions."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

from benchmark.report.record import Record


def unequal(records: Sequence[Record]) -> list[str]:
    """What is not the same for all records of one table and does not keep them apart, as footnotes."""
    notes = []
    drawn: dict[str, set[str]] = defaultdict(set)
    for record in records:
        if record.identity["observation"].get("cameras"):
            drawn[record.fingerprint].add(record.method)
    if len(drawn) > 1:
        said = "; ".join(f"{', '.join(sorted(methods))}: {name}" for name, methods in sorted(drawn.items()))
        notes.append(f"not drawn by the same software: {said}.")
    steps: dict[int, set[str]] = defaultdict(set)
    for record in records:
        steps[record.training.get("optimizer_steps", 0)].add(record.method)
    if len(steps) > 1:
        said = "; ".join(f"{count:,}: {', '.join(sorted(methods))}" for count, methods in sorted(steps.items()))
        notes.append(f"not trained for equally many optimiser steps (--protocol matched makes them equal): {said}.")
    untrained = sorted({record.method for record in records if record.weights.get("untrained")})
    if untrained:
        notes.append(f"untrained: random weights where the method has pre-trained ones: {', '.join(untrained)}.")
    return notes


def comparable(records: list[Record]) -> tuple[list[Record], list[str]]:
    """Keep the records of the most common conditions; name the others."""

    def conditions(record: Record) -> str:
        facts: dict[str, Any] = dict(record.identity)
        for own in ("task", "seed", "method", "head"):
            facts.pop(own, None)
        observation = facts.pop("observation")
        facts["cameras"] = observation.get("cameras")
        return json.dumps([facts, record.success_rule, record.horizon], sort_keys=True)

    def keep_most_common(members: list[Record], key: Any, what: str) -> tuple[list[Record], list[str]]:
        counts = Counter(key(r) for r in members)
        if len(counts) < 2:
            return members, []
        common = counts.most_common(1)[0][0]
        others = [r for r in members if key(r) != common]
        names = ", ".join(sorted(f"{r.task}/{r.method}/{r.head}-s{r.seed}" for r in others))
        return [r for r in members if key(r) == common], [f"left out, made under {what}: {names}."]

    # methods without cameras (state, proprio-only) are comparable with any camera
    seeing = [r for r in records if r.identity["observation"].get("cameras")]
    blind = [r for r in records if not r.identity["observation"].get("cameras")]
    seeing, notes = keep_most_common(seeing, conditions, "other conditions")
    kept: list[Record] = []
    by_task: dict[str, list[Record]] = defaultdict(list)
    for record in seeing + blind:
        by_task[record.task].append(record)
    for members in by_task.values():
        same, more = keep_most_common(
            members, lambda r: (r.demo_hash, r.success_rule, r.horizon), "other demonstrations or success rule"
        )
        kept += same
        notes += more
    return kept, notes
