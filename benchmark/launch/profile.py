"""Launcher profiles: this project's, and the user's own in a folder that is not the checkout."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from benchmark.errors import ConfigError
from benchmark.launch.slurm import Resources
from envs.registry import UnknownName

CONF = Path(__file__).parents[1] / "conf"
KINDS = ("slurm", "local", "debug")
PREFIX = "launcher."


def folders() -> list[Path]:
    """The user's first: $BENCH_CONFIG or ~/.config/repbench, then the project's."""
    own = os.environ.get("BENCH_CONFIG")
    return [Path(own) if own else Path.home() / ".config" / "repbench", CONF]


def profiles() -> dict[str, Path]:
    found: dict[str, Path] = {}
    for folder in folders():
        for file in sorted((folder / "launcher").glob("*.yaml")):
            found.setdefault(file.stem, file)
    return found


def take_launcher_options(overrides: Sequence[str]) -> tuple[dict[str, Any], list[str]]:
    """`launcher.KEY=VALUE` apart from what Hydra gets."""
    mine = [text for text in overrides if text.startswith(PREFIX)]
    changes = {}
    for text in mine:
        key, sign, value = text.removeprefix(PREFIX).partition("=")
        if not sign or not key:
            raise ConfigError(f"{text}: give {PREFIX}KEY=VALUE, such as {PREFIX}reservation=maint")
        changes[key] = yaml.safe_load(value)
    return changes, [text for text in overrides if text not in mine]


def load_profile(name: str, changes: dict[str, Any]) -> dict[str, Any]:
    """A profile with changes applied: `kind` and its fields. Raises `UnknownName` or `ConfigError`."""
    known = profiles()
    if name not in known:
        raise UnknownName("launcher", name, known)
    try:
        values = yaml.safe_load(known[name].read_text())
    except yaml.YAMLError as error:
        raise ConfigError(f"{known[name]} is no YAML: {error}") from error
    if not isinstance(values, dict) or values.get("kind") not in KINDS:
        raise ConfigError(f"{known[name]}: kind must be one of {', '.join(KINDS)}")
    return change_profile(values, changes, str(known[name]))


def change_profile(values: dict[str, Any], changes: dict[str, Any], where: str) -> dict[str, Any]:
    """The profile with changes applied. where: its file or sweep, for messages. Raises `ConfigError`."""
    values = dict(values)
    allowed = {
        "slurm": {field.name for field in dataclasses.fields(Resources)},
        "local": {"jobs", "memory_gb"},
        "debug": set(),
    }[values["kind"]]  # fmt: skip
    for key, value in changes.items():
        if key in allowed:
            values[key] = value
        elif values["kind"] == "slurm":
            values["extra"] = {**(values.get("extra") or {}), key.replace("_", "-"): value}
        else:
            there = f"it has {', '.join(sorted(allowed))}" if allowed else "it has none"
            raise ConfigError(f"a {values['kind']} launcher has no option {key}; {there}")
    unknown = set(values) - allowed - {"kind"}
    if unknown:
        raise ConfigError(f"{where}: unknown {', '.join(sorted(unknown))}; there are {', '.join(sorted(allowed))}")
    if values["kind"] == "slurm":
        resources(values)
    return values


def resources(values: dict[str, Any]) -> Resources:
    """Raises `ConfigError` for a time that is no number of minutes and the like."""
    given = {key: value for key, value in values.items() if key != "kind"}
    given["extra"] = tuple(sorted((given.get("extra") or {}).items()))
    given["setup"] = tuple(given.get("setup") or ())
    for key in ("cpus", "time", "array_parallelism", "signal_delay", "requeues"):
        if not isinstance(given.get(key, 1), int):
            raise ConfigError(f"launcher.{key} must be a whole number, not {given[key]!r} (time is in minutes)")
    if not re.fullmatch(r"(.+:)?\d+|None", str(given.get("gpus"))):
        raise ConfigError(
            f"launcher.gpus must be a number, or a kind and a number such as a100:1, not {given['gpus']!r}"
        )
    return Resources(**given)
