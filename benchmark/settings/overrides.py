"""What stands behind a command as key=value, before and after Hydra or OmegaConf applies it."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence, Set
from typing import Any

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from benchmark.settings.bounds import shown
from benchmark.system.errors import ConfigError

HYDRA_KEY = r"[A-Za-z_][\w-]*"
"""A part of a key that Hydra's grammar takes; `3d` is none."""


def ready(overrides: Sequence[str], known: Set[str], groups: Sequence[str]) -> list[str]:
    """The overrides as Hydra takes them. Raises `ConfigError` for a key that is no setting, and for what a name says.

    known: every dotted key of the configuration. groups: those chosen by an option of their own.
    """
    return [_ready(text, known, groups) for text in overrides]


def _ready(text: str, known: Set[str], groups: Sequence[str]) -> str:
    key, sign, value = text.partition("=")
    if text.startswith("~"):
        raise ConfigError(f"{text}: a setting cannot be left out; give it a value, such as protocol.epochs=50")
    if not sign or text.startswith("-"):
        raise ConfigError(f"'{text}' is not of the form key=value (such as protocol.epochs=50)")
    name = key.lstrip("+")
    if name in groups or name in [f"{group}.name" for group in groups]:
        raise ConfigError(
            f"{text}: a {name.partition('.')[0]} is chosen with --{name.partition('.')[0]}, and a changed one is "
            "named by what was changed in it"
        )
    if name.startswith("launcher."):
        raise ConfigError(f"{text}: a launcher's options go with --launcher of `bench sweep` or `bench run`")
    if name not in known and not name.startswith(("method.", "policy.")):
        close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
        hint = f"Did you mean '{close[0]}'?" if close else f"There are: {', '.join(sorted(known))}."
        raise ConfigError(f"no setting '{name}'. {hint}")
    if name.startswith(("method.", "policy.")):  # a method's options are not known here: its card checks them
        return f"++{name}={value}"
    before, _, last = name.rpartition(".")
    if before and not re.fullmatch(HYDRA_KEY, last, re.ASCII):
        return f"{key.removesuffix(f'.{last}')}={{{last}:{value}}}"  # batch_size.3d=8 as batch_size={3d:8}
    return f"{name}={value}"


def key_value(text: str, example: str) -> tuple[str, str]:
    """Both sides of key=value. Raises `ConfigError`."""
    key, sign, value = text.partition("=")
    if not sign or not key:
        raise ConfigError(f"'{text}' is not of the form key=value (such as {example})")
    return key, value


def refused(overrides: Sequence[str], error: Exception) -> str:
    """What Hydra or OmegaConf says against overrides, in one line, with the way to write what is often meant."""
    what = str(error).splitlines()[0].strip() if str(error) else type(error).__name__
    if "Sweep" in what or "Ambiguous" in what:
        what = "one value each; several are a list, key=[value,value], or several commands"
    elif "parsing override" in what or "at input" in what or "expecting" in what or "Lexer" in what:
        what = f"{what}; quote a value with other characters than letters, digits and _ . / : -, key=\"'...'\""
    return f"cannot apply {' '.join(overrides)}: {what}"


def resolved(config: Any, overrides: Sequence[str]) -> Any:
    """Plain data, its interpolations filled in. Raises `ConfigError`."""
    try:
        return OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        raise ConfigError(refused(overrides, error)) from error


def check_shape(written: Any, now: Any, where: str = "") -> None:
    """A key that holds several settings still does, so that each can be named. Raises `ConfigError`."""
    if not isinstance(written, dict):
        return
    if not isinstance(now, dict):
        keys = ", ".join(f"{where}.{key}" for key in written) or f"{where}.KEY"
        raise ConfigError(f"{where}={shown(now)} is not allowed: it holds several settings; change one of them: {keys}")
    for key, value in written.items():
        check_shape(value, now.get(key), f"{where}.{key}" if where else str(key))


def merged(values: Any, overrides: Sequence[str], where: str) -> Any:
    """A configuration file's data (OmegaConf) with key=value applied, as plain data. Raises `ConfigError`."""
    try:
        values = OmegaConf.merge(values, OmegaConf.from_dotlist(list(overrides)))
        return OmegaConf.to_container(values, resolve=True, throw_on_missing=True)
    except (OmegaConfBaseException, yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        raise ConfigError(f"{refused(overrides, error)} ({where})") from error


def yaml_value(text: str, value: str) -> Any:
    """The value of `text`, which is key=value. Raises `ConfigError`."""
    try:
        return yaml.safe_load(value)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigError(f"{text}: the value cannot be read: {str(error).splitlines()[0]}") from error
