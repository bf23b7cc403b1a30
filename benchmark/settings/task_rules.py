"""What an episode is, where a suite or a task says otherwise than the protocol."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from benchmark.settings.bounds import Range, check_bounds, one_of
from benchmark.settings.protocol import Protocol

MIXED = "mixed"
"""The success rule of a joint policy whose tasks have different ones."""


@dataclass(frozen=True)
class TaskRules:
    """Each None leaves it to the suite's rules, and those to the protocol's number of the same name.

    stop_after_success: a demonstration ends this many steps after the first with success; where nobody says it, it
        goes on to the horizon.
    """

    horizon: Annotated[int, Range(1, 100_000)] | None = None
    success: str | None = None
    min_success_steps: Annotated[int, Range(0, 100_000)] | None = None
    stop_after_success: Annotated[int, Range(0, 100_000)] | None = None
    clip_actions: bool | None = None
    frame_every: Annotated[int, Range(1, 100_000)] | None = None

    def __post_init__(self) -> None:
        check_bounds(self, "rules")
        if self.success is not None:
            one_of("rules.success", self.success, ("any-step", "last-step"))

    @property
    def said(self) -> dict[str, Any]:
        """What is not left to others."""
        return {name: value for name, value in dataclasses.asdict(self).items() if value is not None}


def settled(protocol: Protocol, *rules: TaskRules) -> Protocol:
    """The protocol with what these say; later ones have the last word. Raises `ConfigError` for what contradicts."""
    found: dict[str, Any] = {}
    for one in rules:
        found |= one.said
    return dataclasses.replace(protocol, **found) if found else protocol


def rule_of(identity: Mapping[str, Any], task: str, name: str) -> Any:
    """A rule of one task by a record's identity, which has passed `benchmark.records.schema`."""
    suite = identity.get("suite", {})
    for said in (suite.get("task_rules", {}).get(task, {}), suite.get("rules", {})):
        if name in said:
            return said[name]
    return identity["protocol"].get(name)


def horizon_of(identity: Mapping[str, Any], tasks: list[str]) -> int:
    """Of a policy for these tasks: the longest."""
    return max(rule_of(identity, task, "horizon") for task in tasks)


def success_of(identity: Mapping[str, Any], tasks: list[str]) -> str:
    """Of a policy for these tasks: theirs, or `mixed`."""
    found = {rule_of(identity, task, "success") for task in tasks}
    return found.pop() if len(found) == 1 else MIXED
