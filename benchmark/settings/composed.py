"""Hydra's composition of the chosen files, made once, and with a command's key=value applied to it.

A composition takes Hydra 0.1 s and more. What a key=value changes does not decide which files are composed (`ready` of
`benchmark.settings.overrides` lets none through that does), so it is applied to a copy of what was composed without it,
by Hydra's own parser and its own function, as the last step of a composition does.
"""

from __future__ import annotations

import copy
import functools
from typing import Any

from hydra import compose, initialize_config_dir
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from benchmark.settings.user_files import SHIPPED


@functools.cache
def as_written(groups: tuple[str, ...]) -> DictConfig:
    """The files without any change to them. groups: `suite=NAME`, ...; the result is for reading only."""
    with initialize_config_dir(str(SHIPPED), version_base="1.3", job_name="bench"):
        return compose("config", list(groups))


@functools.lru_cache(maxsize=64)
def with_overrides(groups: tuple[str, ...], overrides: tuple[str, ...]) -> DictConfig:
    """What Hydra composes of the files and the overrides; for reading only. A sweep asks for one for each of its cells.

    overrides: as `benchmark.settings.overrides.ready` leaves them. Raises Hydra's and OmegaConf's errors.
    """
    parsed = OverridesParser.create().parse_overrides(list(overrides))
    ConfigLoaderImpl.validate_sweep_overrides_legal(parsed, RunMode.RUN, from_shell=False)
    config = copy.deepcopy(as_written(groups))
    ConfigLoaderImpl._apply_overrides_to_config(parsed, config)
    return config


@functools.cache
def keys_of(groups: tuple[str, ...]) -> frozenset[str]:
    """Every dotted key of the files."""
    return frozenset(_keys(OmegaConf.to_container(as_written(groups))))


def _keys(node: Any, prefix: str = "") -> set[str]:
    if not isinstance(node, dict):
        return set()
    found: set[str] = set()
    for key, value in node.items():
        path = f"{prefix}{key}"
        found |= {path} | _keys(value, f"{path}.")
    return found
