"""Pre-training data by name: `conf/data/NAME.yaml` to frames."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import Sequence
from typing import Any

from omegaconf import OmegaConf

from benchmark.data.cache_places import Places
from benchmark.pretrain.data.config import DataConfig
from benchmark.pretrain.data.frames import Frames, Shard
from benchmark.settings.load import CONF, choices, settle
from benchmark.settings.overrides import key_value, merged, yaml_value
from benchmark.system.errors import ConfigError
from benchmark.system.progress import say
from envs.description import describe, interpreter_setting
from envs.errors import UserError
from envs.names import expanded
from envs.options import options_outside, set_options
from envs.registry import UnknownName


def load_data(name: str, overrides: Sequence[str] = ()) -> DataConfig:
    """A source with its overrides, `NAME.FIELD=VALUE`. Raises `UnknownName` or `ConfigError`."""
    if name not in choices("data"):
        raise UnknownName("data", name, choices("data"))
    values: Any = OmegaConf.load(CONF / "data" / f"{name}.yaml")
    own = [text.removeprefix(f"{name}.") for text in overrides if text.startswith(f"{name}.")]
    plain: Any = merged(values, own, name)
    config = settle(DataConfig, plain, name)
    said = tuple(text.partition(".")[2] for text in options_for(config.kind, overrides))
    options = (*_outside(config), *config.env_options, *said)
    return dataclasses.replace(config, env_options=options) if options else config


def _outside(config: DataConfig) -> list[str]:
    """What the environment says of the simulator's options: they decide its frames wherever they are said."""
    if not config.simulated:
        return []
    said = options_outside(interpreter_setting(config.kind).split(".")[1])
    return [f"{key}={value if isinstance(value, str) else json.dumps(value)}" for key, value in said.items()]


def options_for(kind: str, overrides: Sequence[str]) -> list[str]:
    """Of `overrides` those that say a simulator's options, `env.NAME.KEY=VALUE`, as `NAME.KEY=VALUE`."""
    prefix = interpreter_setting(kind).removesuffix("python")
    return [text.removeprefix("env.") for text in overrides if text.startswith(prefix)]


def _check_simulator(config: DataConfig) -> None:
    """Its options are set, for every process that this one starts, too. Raises `ConfigError` or `UnknownName`."""
    said = {}
    for text in config.env_options:
        key, value = key_value(text, "stand_ins=true")
        said[key] = yaml_value(text, value)
    if "python" in said:
        raise ConfigError(f"{interpreter_setting(config.kind)}: pre-training needs the simulator in this interpreter")
    set_options(interpreter_setting(config.kind).split(".")[1], said)
    kind = describe(config.kind)
    for task in config.tasks:
        if task not in kind.tasks:
            raise UnknownName(f"task of {kind.name}", task, kind.tasks)


def simulators(configs: Sequence[DataConfig]) -> dict[str, str]:
    """Source -> the version of its simulator, which says every option that its frames depend on; of those that are
    here."""
    found = {}
    for config in configs:
        if config.simulated:
            with contextlib.suppress(UserError):
                _check_simulator(config)
                found[config.name] = str(describe(config.kind).versions()["version"])
    return found


def check_sources(configs: Sequence[DataConfig]) -> None:
    """What is not on this disk stops before any work. Raises `ConfigError`."""
    for config in configs:
        if config.simulated:
            _check_simulator(config)
        elif not config.root:
            raise ConfigError(f"{config.name} needs the folder of its demonstrations: {config.name}.root=FOLDER")
        if config.root and not expanded(config.root).is_dir():
            raise ConfigError(f"{config.name}.root={config.root} is no folder")


def check_actions(configs: Sequence[DataConfig], wanted: int | None = None) -> None:
    """That simulators' actions are as wide as each other's, before any frame is drawn.

    wanted: numbers of an action that an encoder reads, None for any. Raises `ConfigError`.
    """
    check_sources(configs)
    found = {config.name: describe(config.kind).action_spec.size for config in configs if config.simulated}
    if len(set(found.values())) > 1:
        said = ", ".join(f"{name}'s have {size}" for name, size in found.items())
        raise ConfigError(
            f"actions of different robots: {said} numbers. An action encoder is of one; give --data of one simulator"
        )
    for name, size in found.items():
        if wanted is not None and size != wanted:
            raise ConfigError(
                f"actions of {name} have {size} numbers, and this encoder reads {wanted}: they are of another robot"
            )


def open_frames(
    configs: Sequence[DataConfig], places: Places, pictures: bool, workers: int, triplets: bool = False
) -> Frames:
    """The frames of all sources, prepared where they are not there. images: also what a teacher needs. triplets:
    virtual views, past actions and what a text says, in place of clouds. Raises `ConfigError` for a source without.
    """
    check_sources(configs)
    if triplets and (without := [config.name for config in configs if not config.simulated]):
        raise ConfigError(
            f"{', '.join(without)}: no actions and no objects' places are read from such data, which this pre-training "
            "needs; the data of MetaWorld and ALOHA have them (`bench list data`)"
        )
    if triplets:
        check_actions(configs)
    shards: list[Shard] = []
    for config in configs:
        shards += _open_triplets(config, places, workers) if triplets else _open(config, places, pictures, workers)
        licences = sorted({shard.licence for shard in shards if shard.source == config.name})
        say(f"{config.name}: {sum(map(len, shards)):,} frames so far; licence: {'; '.join(licences)}")
    return Frames(tuple(shards), {config.name: config.weight for config in configs})


def _open_triplets(config: DataConfig, places: Places, workers: int) -> list[Shard]:
    from benchmark.pretrain.data import triplets

    return triplets.open_shards(config, places, workers)


def _open(config: DataConfig, places: Places, pictures: bool, workers: int) -> list[Shard]:
    from benchmark.pretrain.data import calibrated, rh20t, rlbench, simulated

    if config.simulated:
        return simulated.open_shards(config, places, pictures, workers)
    readers = {
        "rlbench": rlbench.open_shards,
        "calibrated": calibrated.open_shards,
        "rh20t": rh20t.open_shards,
    }
    return readers[config.kind](config, places, pictures, workers)
