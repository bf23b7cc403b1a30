"""A simulator in this process, as a suite sees it or as asked for."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from omegaconf import OmegaConf

from benchmark.settings.load import CONF, DEFAULT_HEAD, load_settings
from benchmark.settings.suite import Suite
from envs.base import Env
from envs.description import describe
from envs.options import BadOption, set_options
from envs.registry import ENVS, UnknownName, make

ANY_PROTOCOL = "clar"
"""A simulator's observations do not depend on it."""


def make_env(
    suite_or_env: str,
    task: str,
    fields: Sequence[str] = (),
    cameras: Sequence[str] | None = None,
    *,
    height: int | None = None,
    width: int | None = None,
    num_points: int | None = None,
    crop: Sequence[float] | str | None = None,
    sampler: str | None = None,
    render: str | None = None,
    image: str | None = None,
    goal_marker: bool | None = None,
    sizes: Mapping[str, Sequence[int]] | None = None,
    options: Mapping[str, Any] | None = None,
) -> Env:
    """One task's simulator, which does what `envs.base.Env` says: `reset(seed)`, `step(action)`, `expert_action()`, ...

    suite_or_env: a suite, whose cameras, sizes and crop are taken where nothing else is said; a registered simulator;
        or `file.py:Class`.
    fields: of the observation, beside `proprio`, which is always in it: `rgb`, `depth`, `points`, ...
        (`envs.field_names`). The other options are those of `envs.spec.ObservationRequest`; None leaves them.
    sizes: `{camera: (height, width)}`, pixels, of cameras that are not `height` x `width`. A suite's own are left out
        where a height, a width or other cameras are asked for.
    options: the simulator's own, as `env.NAME.KEY=VALUE` gives them to a run: `{"stand_ins": True}` of `aloha`. They
        stand beside those of the environment variable, and no earlier call's do.

    Use as many as you like in one process; close each. Raises `UnknownName`, `SpecMismatch`, `ConfigError`,
    `BadOption`, and `GLMissing` where something has to be drawn and nothing can.
    """
    suite = _suite(suite_or_env)
    said: dict[str, Any] = {
        "cameras": None if cameras is None else tuple(cameras),
        "height": height,
        "width": width,
        "num_points": num_points,
        "crop": crop if crop is None or isinstance(crop, str) else tuple(crop),
        "sampler": sampler,
        "render": render,
        "image": image,
        "goal_marker": goal_marker,
        "sizes": sizes,
    }
    asked = {key: value for key, value in said.items() if value is not None}
    own = dict(suite.observation)
    if {"cameras", "height", "width"} & set(asked):
        own.pop("sizes", None)
    suite = dataclasses.replace(suite, observation={**own, **asked})
    if task not in suite.task_names:
        raise UnknownName(f"task of {suite_or_env}", task, suite.task_names)
    _set_options(suite.env, options or {})
    return make(suite.env, task, suite.request((fields,) if isinstance(fields, str) else tuple(fields), None))


def _set_options(env: str, said: Mapping[str, Any]) -> None:
    """Raises `BadOption` for one that the simulator has not."""
    known = OmegaConf.load(CONF / "config.yaml").env.get(env, {}) if env in ENVS else {}
    for option in said:
        if option not in known or option == "python":
            has = ", ".join(name for name in known if name != "python") or "no options of its own"
            raise BadOption(f"{env} has no option {option}: it has {has}")
    if env in ENVS:
        set_options(env, said)


def _suite(name: str) -> Suite:
    """The suite, or one of all tasks of a simulator."""
    if ".py:" not in name and name not in ENVS:
        return load_settings(name, ANY_PROTOCOL, DEFAULT_HEAD).suite
    kind = describe(name)
    return Suite(kind.name, kind.name, name, "", {"all": tuple(kind.tasks)})
