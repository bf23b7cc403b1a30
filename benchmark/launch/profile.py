"""Launcher profiles: this project's, and the user's own in a folder that is not the checkout."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import yaml

from benchmark.launch.slurm import Resources
from benchmark.settings.bounds import Range, described, fits, shown
from benchmark.settings.overrides import yaml_value
from benchmark.settings.user_files import SHIPPED, own_folder
from benchmark.system.checked_json import NotPlain, read_bytes
from benchmark.system.errors import ConfigError
from envs.registry import UnknownName

KINDS = ("slurm", "local", "debug")
PREFIX = "launcher."
LARGEST = 2**20
"""Bytes of a profile."""
LOCAL: dict[str, Any] = {
    "jobs": Annotated[int, Range(1, 1_024)] | None,
    "cells_per_gpu": Annotated[int, Range(1, 64)],
    "memory_gb": Annotated[float, Range(0, 1_000_000, above_low=True)],
}
"""What a profile of this machine can say."""


def folders() -> list[Path]:
    """The user's first: $BENCH_CONFIG or ~/.config/repbench, then the project's."""
    return [own_folder(), SHIPPED]


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
        changes[key] = yaml_value(text, value)
    return changes, [text for text in overrides if text not in mine]


def load_profile(name: str, changes: dict[str, Any]) -> dict[str, Any]:
    """A profile with changes applied: `kind` and its fields. Raises `UnknownName` or `ConfigError`."""
    known = profiles()
    if name not in known:
        raise UnknownName("launcher", name, known)
    try:
        values = yaml.safe_load(read_bytes(known[name], LARGEST).decode())
    except NotPlain as error:
        raise ConfigError(f"{known[name]} is no profile: {error}") from error
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise ConfigError(f"{known[name]} is no YAML: {' '.join(str(error).split())}") from error
    if not isinstance(values, dict) or values.get("kind") not in KINDS:
        raise ConfigError(f"{known[name]}: kind must be one of {', '.join(KINDS)}")
    return change_profile(values, changes, str(known[name]))


def change_profile(values: dict[str, Any], changes: dict[str, Any], where: str) -> dict[str, Any]:
    """The profile with changes applied. where: its file or sweep, for messages. Raises `ConfigError`."""
    values = dict(values)
    if not all(isinstance(key, str) for key in values):
        raise ConfigError(
            f"{where}: the names of fields are words, not {next(k for k in values if type(k) is not str)!r}"
        )
    allowed = {
        "slurm": {field.name for field in dataclasses.fields(Resources)},
        "local": set(LOCAL),
        "debug": set(),
    }[values["kind"]]
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
    elif values["kind"] == "local":
        _check_local(values)
    return values


def resources(values: dict[str, Any]) -> Resources:
    """Raises `ConfigError` for a time that is no number of minutes and the like."""
    given = {key: value for key, value in values.items() if key != "kind"}
    extra, setup = given.get("extra") or {}, given.get("setup") or ()
    if not isinstance(extra, dict) or not all(_is_word(part) for pair in extra.items() for part in pair):
        raise ConfigError(f"launcher.extra must be sbatch fields and their values, each of one line, not {extra!r}")
    if not isinstance(setup, list | tuple) or not all(isinstance(line, str) and _is_word(line) for line in setup):
        raise ConfigError(f"launcher.setup must be a list of shell commands, each of one line, not {setup!r}")
    return Resources(**{**given, "extra": tuple(sorted(extra.items())), "setup": tuple(setup)})


def _is_word(value: Any) -> bool:
    """Text, a number or a switch of one line: a line break in it would begin a line of its own in a job's script."""
    return isinstance(value, str | int | float) and str(value).isprintable()


def _check_local(values: dict[str, Any]) -> None:
    for key, hint in LOCAL.items():
        if key in values and not fits(values[key], hint):
            raise ConfigError(f"launcher.{key}={shown(values[key])} is not allowed: it must be {described(hint)}")
