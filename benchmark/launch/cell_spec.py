"""A cell in words, as it travels to another process or machine."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.experiment.cell import Cell
from benchmark.experiment.make_cells import make_cells
from benchmark.settings.load import load_settings, policy_named
from benchmark.settings.policy import WEIGHTS
from benchmark.settings.user_files import absolute


@dataclass(frozen=True)
class CellSpec:
    """What `bench run` was told about one cell."""

    suite: str
    protocol: str
    head: str | None
    overrides: tuple[str, ...]
    task: str
    method: str
    seed: int
    weights: str | None

    def cell(self) -> Cell:
        """Raises what `make_cells` raises."""
        settings = load_settings(self.suite, self.protocol, self.head, list(self.overrides))
        (cell,) = make_cells(settings, [self.task], [self.method], [self.seed], self.weights)
        return cell

    def as_dict(self) -> dict[str, Any]:
        return {**dataclasses.asdict(self), "overrides": list(self.overrides)}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> CellSpec:
        return cls(**{**data, "overrides": tuple(data["overrides"])})


def specs_of(
    suite: str,
    protocol: str,
    head: str | None,
    overrides: list[str],
    tasks: list[str] | None,
    methods: list[str],
    seeds: Sequence[int],
    weights: str | None,
) -> list[tuple[CellSpec, Cell]]:
    """Every cell of a sweep in words and in fact. Raises what `make_cells` raises, before anything is done.

    What comes from a file (method, weights, suite, protocol, head) is named by its absolute path: a job may start in
    another folder.
    """
    suite, protocol = absolute("suite", suite), absolute("protocol", protocol)
    if head is not None:
        head = _absolute(head) if policy_named(head) else absolute("head", head)
    settings = load_settings(suite, protocol, head, overrides)
    overrides = [_absolute_weights(text) for text in overrides]
    methods = [_absolute(method) for method in methods]
    weights = str(Path(weights).resolve()) if weights and Path(weights).is_file() else weights
    return [
        (CellSpec(suite, protocol, head, tuple(overrides), c.task, c.method, c.seed, weights), c)
        for c in make_cells(settings, tasks, methods, seeds, weights)
    ]


def _absolute(method: str) -> str:
    path, sign, name = method.rpartition(":")
    return f"{Path(path).resolve()}:{name}" if sign and path.endswith(".py") else method


def _absolute_weights(text: str) -> str:
    """`policy.weights=FILE` with the file's absolute path; what is no such override, or no file, stays."""
    key, _, value = text.partition("=")
    return (
        f"{key}={Path(value).resolve()}" if key.lstrip("+") == f"policy.{WEIGHTS}" and Path(value).is_file() else text
    )
