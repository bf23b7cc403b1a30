"""Which simulator a number comes from: asked of the interpreter that holds it, which may be another than this one."""

from __future__ import annotations

from typing import Any

from envs.description import describe


def simulator_facts(name: str, python: str | None = None) -> dict[str, Any]:
    """`version` as the simulator's class says it, `packages`: versions of the distributions it names, and `fpsample`:
    the version of what samples its points, all as installed in `python` (None: this interpreter). A simulator from a
    file has the hash of its `source` as well.

    Raises `NoSimulator`.
    """
    return describe(name, python).versions()
