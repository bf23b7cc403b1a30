"""RepBench from Python: what `bench` does, for notebooks, scripts and tests (docs/api.md).

Importing this imports neither torch nor a simulator; what is asked for is loaded when it is first used. It also sees to
it that `envs`, `methods`, `baselines` and `benchmark` are this checkout's own, wherever Python was started.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from repbench.own_packages import import_own_packages

import_own_packages()

if TYPE_CHECKING:
    from benchmark.experiment.policy_bundle import load_policy
    from benchmark.records.frame import load_records
    from methods.base import Representation
    from methods.card import MethodCard
    from repbench.runs import run
    from repbench.simulator import make_env

__all__ = ["MethodCard", "Representation", "load_policy", "load_records", "make_env", "run"]

_HOMES = {
    "run": "repbench.runs",
    "make_env": "repbench.simulator",
    "load_records": "benchmark.records.frame",
    "load_policy": "benchmark.experiment.policy_bundle",
    "Representation": "methods.base",
    "MethodCard": "methods.card",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'repbench' has no attribute '{name}'; there are {', '.join(__all__)}")
    found = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return list(__all__)
