"""Suites, protocols and heads that users keep in files of their own, outside the package.

`--suite ./my-suite.yaml` names a file; `--suite my-suite` finds `my-suite.yaml` in $BENCH_CONFIG/suite or
~/.config/repbench/suite. A file may build on a shipped one (`defaults: [clar]`). Its `name` is the file's and no
shipped one: a number of somebody's protocol must never stand under the name of ours.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from benchmark.settings.bounds import shown
from benchmark.system.checked_json import NotPlain, read_bytes
from benchmark.system.digest import digest
from benchmark.system.errors import ConfigError
from envs.names import expanded, safe_name
from envs.registry import UnknownName

SHIPPED = Path(__file__).parents[1] / "conf"
TELLING = {
    "suite": {"tasks", "env", "observation"},
    "protocol": {"epochs", "rollouts", "train_demos"},
    "head": {"hidden", "denoiser", "kind"},
}
"""Settings that only one kind of file has."""
LARGEST = 2**20
"""Bytes of a configuration file."""


def own_folder() -> Path:
    """Where the user's configuration is: $BENCH_CONFIG, or ~/.config/repbench."""
    own = os.environ.get("BENCH_CONFIG")
    return Path(own) if own else Path.home() / ".config" / "repbench"


def shipped(group: str) -> list[str]:
    return sorted(path.stem for path in (SHIPPED / group).glob("*.yaml"))


def in_own_folder(group: str) -> dict[str, Path]:
    """Name -> file of what the user keeps beside the shipped ones."""
    return {path.stem: path for path in sorted((own_folder() / group).glob("*.yaml"))}


def file_of(group: str, name: str) -> Path | None:
    """The user's file that `name` means; None for a shipped one. Raises `UnknownName`, or `ConfigError` for no file."""
    if is_path(name):
        path = expanded(name)
        if not path.is_file():
            raise ConfigError(f"--{group} {name}: there is no such file; a name such as {shipped(group)[0]} needs none")
        return path
    if name in shipped(group):
        same = own_folder() / group / f"{name}.yaml"
        if os.path.exists(same):  # False, too, where another user's folder may not be looked into
            raise ConfigError(name_taken(same, group))
        return None
    own = in_own_folder(group)
    if name not in own:
        raise UnknownName(group, name, [*shipped(group), *own])
    return own[name]


def is_path(name: str) -> bool:
    return name.endswith((".yaml", ".yml")) or os.sep in name


def absolute(group: str, name: str) -> str:
    """What names the same file in a process that starts in another folder; a shipped name stays."""
    file = file_of(group, name)
    return name if file is None else str(file.resolve())


def choice_of(group: str, name: str) -> tuple[str, str]:
    """What Hydra composes for `name`, and the name that its content has. A user's file is offered to Hydra here.

    Raises `UnknownName` for what there is not and `ConfigError` for a file that cannot be taken.
    """
    file = file_of(group, name)
    if file is None:
        return name, name
    content = _read(file, group)
    key = f"{file.stem}_{digest(OmegaConf.to_container(content))[:12]}"  # an edited file is another one
    ConfigStore.instance().store(group=group, name=key, node=content, provider="user_files")
    return key, file.stem


def looks_like(group: str, file: Path) -> bool:
    """Whether a file has what only such a configuration has."""
    try:
        content = _yaml(file, group)
    except ConfigError:
        return False
    if not isinstance(content, DictConfig):
        return False
    bases = content.get("defaults") or []
    known = isinstance(bases, ListConfig) and any(base in shipped(group) for base in bases)
    return known or bool(set(content) & TELLING[group])


def _yaml(file: Path, group: str) -> Any:
    try:
        return OmegaConf.create(read_bytes(file, LARGEST).decode())
    except NotPlain as error:
        raise ConfigError(f"{file} is no {group}: {error}") from error
    except (YAMLError, OmegaConfBaseException, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise ConfigError(f"{file} is no YAML: {' '.join(str(error).split())[:200]}") from error


def _read(file: Path, group: str) -> DictConfig:
    content = _yaml(file, group)
    if not isinstance(content, DictConfig) or content.get("name") != file.stem:
        raise ConfigError(f"{file}: it must say `name: {file.stem}`, which is its file's name")
    safe_name(f"{group}.name", file.stem)
    bases = content.get("defaults", [])
    for base in bases if isinstance(bases, ListConfig | list) else [bases]:
        if base != "_self_" and base not in shipped(group):
            raise ConfigError(f"{file}: defaults may name {', '.join(shipped(group))}; {shown(base)} is none of them")
    if group == "suite" and "tasks" in content:
        _alone(content)
    _not_the_papers(content, group)
    if file.stem in shipped(group):
        raise ConfigError(name_taken(file, group))
    return content


def name_taken(file: Path, group: str) -> str:
    return f"{file}: {file.stem} is a {group} of this project; give yours another name, in it and of it"


def _alone(suite: DictConfig) -> None:
    """The tasks of a suite that builds on another are its own alone: the other's groups stay empty."""
    for base in suite.get("defaults") or []:
        if base in shipped("suite"):
            there: Any = OmegaConf.load(SHIPPED / "suite" / f"{base}.yaml")
            for group in there.get("tasks", {}):
                suite.tasks.setdefault(group, [])


def _not_the_papers(content: DictConfig, group: str) -> None:
    """What builds on a shipped file is no longer what that was taken from: its title and source are not inherited."""
    bases = [base for base in content.get("defaults") or [] if base in shipped(group)]
    if bases and group in ("suite", "protocol"):
        content.setdefault("title", content.name)
        content.setdefault("source", f"yours, built on {', '.join(bases)}")
