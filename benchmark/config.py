"""Hydra at the edge: names and key=value in, frozen dataclasses out. Nothing inside sees a DictConfig."""

from __future__ import annotations

import dataclasses
import difflib
import functools
from pathlib import Path
from typing import Any, TypeVar

import yaml
from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from benchmark.labels import head_label, protocol_label
from benchmark.language import Language
from benchmark.protocol import ConfigError, DiffusionConfig, HeadConfig, Protocol, Runtime, Settings, Suite
from envs.registry import UnknownName

CONF = Path(__file__).parent / "conf"
GROUPS = ("suite", "protocol", "head")
DEFAULT_HEAD = "mlp"
T = TypeVar("T")


def choices(group: str) -> list[str]:
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


def summary(group: str, name: str) -> str:
    """The first comment of a configuration file."""
    first = (CONF / group / f"{name}.yaml").read_text().splitlines()[0]
    return first.lstrip("# ").rstrip()


def load_settings(suite: str, protocol: str, head: str | None, overrides: list[str] | None = None) -> Settings:
    """Compose and check. Raises `UnknownName` or `ConfigError` with a message for a person.

    head: None for the default, which a method that brings its own head may replace.
    """
    for group, name in zip(GROUPS, (suite, protocol, head or DEFAULT_HEAD), strict=True):
        if name not in choices(group):
            raise UnknownName(group, name, choices(group))
    groups = [f"suite={suite}", f"protocol={protocol}", f"head={head or DEFAULT_HEAD}"]
    plain: Any = OmegaConf.to_container(_compose(groups, overrides or []), resolve=True)
    written: Any = OmegaConf.to_container(_compose(groups, []), resolve=True)
    env = plain["suite"]["env"]
    own_head = {**plain["head"], "name": head_label(plain["head"]["name"], written["head"], plain["head"])}
    own_protocol = {**plain["protocol"], "name": protocol_label(protocol, written, plain)}
    return Settings(
        suite=_suite(plain["suite"]),
        protocol=settle(Protocol, own_protocol, "protocol"),
        head=_head(own_head),
        runtime=settle(Runtime, plain["runtime"], "runtime"),
        env_python=(plain["env"].get(env) or {}).get("python"),
        method_options=plain["method"],
        head_asked=head is not None or plain["head"] != written["head"],
    )


def _suite(values: dict[str, Any]) -> Suite:
    told = values.get("language")
    if told is not None:
        texts = {task: tuple(sentences) for task, sentences in told["instructions"].items()}
        told = settle(Language, {**told, "instructions": texts}, "suite.language")
    # a crop of null says nothing: without it the records of a suite are named as those from before there was the option
    observation = {key: value for key, value in values["observation"].items() if key != "crop" or value is not None}
    return settle(Suite, {**values, "observation": observation, "language": told}, "suite")


def load_protocol(name: str) -> Protocol:
    return settle(Protocol, show("protocol", name), "protocol")


def load_head(name: str) -> HeadConfig | DiffusionConfig:
    """A head as its file says, for methods that bring their own."""
    return _head(show("head", name))


def _head(values: dict[str, Any]) -> HeadConfig | DiffusionConfig:
    if "denoiser" in values:
        return settle(DiffusionConfig, values, "head")
    return settle(HeadConfig, values, "head")


def _compose(groups: list[str], overrides: list[str]) -> DictConfig:
    for text in overrides:
        if "=" not in text or text.startswith("-"):
            raise ConfigError(f"'{text}' is not of the form key=value (such as protocol.epochs=50)")
    plain = _as_written(tuple(groups))
    if not overrides:
        return plain
    known = _keys(OmegaConf.to_container(plain))
    # a method's options are not known here: its card checks them
    overrides = [f"++{text}" if text.startswith("method.") else text for text in overrides]
    for text in overrides:
        key = text.partition("=")[0].lstrip("+~")
        if key in GROUPS or key in [f"{group}.name" for group in GROUPS]:
            raise ConfigError(
                f"{text}: a {key.partition('.')[0]} is chosen with --{key.partition('.')[0]}, and a changed one is "
                "named by what was changed in it"
            )
        if key not in known and not key.startswith("method."):
            close = difflib.get_close_matches(key, known, n=1, cutoff=0.4)
            hint = f"Did you mean '{close[0]}'?" if close else f"There are: {', '.join(sorted(known))}."
            raise ConfigError(f"no setting '{key}'. {hint}")
    try:
        with initialize_config_dir(str(CONF), version_base="1.3", job_name="bench"):
            return hydra_compose("config", groups + overrides)
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError(f"cannot apply {' '.join(overrides)}: {str(error).splitlines()[0]}") from error


@functools.cache
def _as_written(groups: tuple[str, ...]) -> DictConfig:
    """The files without any change to them. Hydra takes 0.1 s and more for each, so they are read once."""
    with initialize_config_dir(str(CONF), version_base="1.3", job_name="bench"):
        return hydra_compose("config", list(groups))


def _keys(node: Any, prefix: str = "") -> set[str]:
    if not isinstance(node, dict):
        return set()
    found: set[str] = set()
    for key, value in node.items():
        path = f"{prefix}{key}"
        found |= {path} | _keys(value, f"{path}.")
    return found


def settle(kind: type[T], values: dict[str, Any], where: str) -> T:
    """A frozen dataclass from plain values, their types checked. Raises `ConfigError` naming where.KEY."""
    fields = {f.name: f for f in dataclasses.fields(kind)}  # type: ignore[arg-type]
    unknown = sorted(set(values) - set(fields))
    if unknown:
        raise ConfigError(f"{where}.{unknown[0]} is no setting; there are {', '.join(sorted(fields))}")
    converted: dict[str, Any] = {}
    for name, value in values.items():
        wanted = str(fields[name].type)
        if isinstance(value, list):
            value = tuple(value)
        if wanted == "float" and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        scalar = {"int": int, "float": float, "bool": bool, "str": str}.get(wanted)
        if scalar and (not isinstance(value, scalar) or (scalar is int and isinstance(value, bool))):
            raise ConfigError(f"{where}.{name} must be {wanted}, not {value!r}")
        converted[name] = value
    return kind(**converted)


def show(group: str, name: str) -> dict[str, Any]:
    """A configuration file as it composes, for `bench show`."""
    config = _compose([f"{group}={name}"], [])
    plain: Any = OmegaConf.to_container(config, resolve=True)
    return plain[group]


def as_yaml(data: Any) -> str:
    return yaml.safe_dump(data, sort_keys=False, allow_unicode=True, default_flow_style=None)
