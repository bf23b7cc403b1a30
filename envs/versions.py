"""Which simulator a number comes from: asked of the interpreter that holds it, which may be another than this one."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

from envs.registry import env_class, loaded_sources
from envs.source import source_hash

PATIENCE = 120.0
"""Seconds for an interpreter to start and to say what is installed in it."""

LEND_ROOM = """
import importlib.util, sys
room = sys.argv.pop(1)
spec = importlib.util.spec_from_file_location("envs", room + "/__init__.py", submodule_search_locations=[room])
sys.modules["envs"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(sys.modules["envs"])
"""
"""Start of a program in an interpreter with site-packages of its own: of ours it is lent this one package."""


class NoSimulator(RuntimeError):
    """The interpreter that should hold a simulator cannot be started, or has not what the simulator needs."""


@functools.cache
def simulator_facts(name: str, python: str | None = None) -> dict[str, Any]:
    """`version` as the simulator's class says it, `packages`: versions of the distributions it names, and `fpsample`:
    the version of what samples its points, all as installed in `python` (None: this interpreter). A simulator from a
    file has the hash of its `source` as well.

    Raises `NoSimulator`.
    """
    facts = _facts(name) if python is None else _ask(name, python)
    return facts | ({"source": source_hash(loaded_sources(name))} if ".py:" in name else {})


def _facts(name: str) -> dict[str, Any]:
    kind = env_class(name)
    packages = {package: _version(package) for package in packages_of(kind)}
    return {"version": kind.version, "packages": packages, "fpsample": _version("fpsample")}


def packages_of(kind: Any) -> tuple[str, ...]:
    """Distributions whose versions the simulator's numbers depend on; a third party's class may name none."""
    return tuple(getattr(kind, "packages", ()))


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _ask(name: str, python: str) -> dict[str, Any]:
    command = [python, "-c", LEND_ROOM + "from envs.versions import main\nmain()", str(Path(__file__).parent), name]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired) as error:
        reason = getattr(error, "strerror", None) or f"no answer in {PATIENCE:.0f} s"
        raise NoSimulator(f"{python} cannot be asked which {name} it has: {reason}") from error
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise NoSimulator(f"{python} has no {name} that could be run: {last}")
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    print(json.dumps(_facts(sys.argv[1])))
