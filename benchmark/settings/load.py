"""Hydra at the edge: names and key=value in, frozen dataclasses out. Nothing inside sees a DictConfig."""

from __future__ import annotations

import dataclasses
from typing import Any, TypeVar

from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from benchmark.settings.bounds import fits, hints, plain_type, shown
from benchmark.settings.composed import as_written, keys_of, with_overrides
from benchmark.settings.head import DiffusionConfig, HeadConfig, check_labels
from benchmark.settings.instructions import Language
from benchmark.settings.labels import changes, head_label, protocol_label
from benchmark.settings.overrides import check_shape, ready, refused, resolved
from benchmark.settings.policy import PolicyConfig, policy_config
from benchmark.settings.protocol import Protocol
from benchmark.settings.runtime import Runtime
from benchmark.settings.settings import Settings
from benchmark.settings.suite import Suite
from benchmark.settings.task_rules import TaskRules
from benchmark.settings.user_files import SHIPPED, choice_of, in_own_folder, shipped
from benchmark.system.errors import ConfigError
from envs.description import interpreter_setting
from envs.options import set_options

CONF = SHIPPED
GROUPS = ("suite", "protocol", "head")
DEFAULT_HEAD = "mlp"
T = TypeVar("T")


def choices(group: str) -> list[str]:
    """What this project ships; `user_files.in_own_folder` has what the user keeps beside it."""
    return shipped(group)


def summary(group: str, name: str) -> str:
    """The first comment of a configuration file."""
    first = (CONF / group / f"{name}.yaml").read_text().splitlines()[0]
    return first.lstrip("# ").rstrip()


def load_settings(suite: str, protocol: str, head: str | None, overrides: list[str] | None = None) -> Settings:
    """Compose and check. Raises `UnknownName` or `ConfigError` with a message for a person.

    suite, protocol, head: shipped names, names in the user's folder, or paths of YAML files (`user_files`).
    head: None for the default, which a method that brings its own head may replace.
    """
    policy = None if head is None else policy_named(head)
    asked = zip(GROUPS, (suite, protocol, DEFAULT_HEAD if policy else head or DEFAULT_HEAD), strict=True)
    chosen = {group: choice_of(group, name) for group, name in asked}
    protocol = chosen["protocol"][1]
    groups = [f"{group}={key}" for group, (key, _) in chosen.items()]
    plain = resolved(_compose(groups, overrides or []), overrides or [])
    written: Any = OmegaConf.to_container(_compose(groups, []), resolve=True)
    check_shape(written, plain)
    env = plain["suite"]["env"]
    own_head = {**plain["head"], "name": head_label(plain["head"]["name"], written["head"], plain["head"])}
    own_protocol = {**plain["protocol"], "name": protocol_label(protocol, written, plain)}
    own_suite = _suite(plain["suite"])
    _refuse_idle(own_suite, changes(written["protocol"], plain["protocol"]))
    setting = interpreter_setting(env)
    said = plain["env"].get(setting.split(".")[1]) or {}
    python = said.get("python")
    if not isinstance(python, str | None):
        raise ConfigError(f"{setting}={shown(python)} is not allowed: it must be the path of a Python, or null")
    set_options(setting.split(".")[1], {key: value for key, value in said.items() if key != "python"})
    if policy and plain["head"] != written["head"]:
        raise ConfigError(f"head.KEY=VALUE changes no policy: {policy} takes policy.KEY=VALUE (`bench show {policy}`)")
    given = plain["policy"] or {}
    return Settings(
        suite=own_suite,
        protocol=settle(Protocol, own_protocol, "protocol"),
        head=_policy(policy, given) if policy else head_from(own_head),
        runtime=settle(Runtime, plain["runtime"], "runtime"),
        env_python=python,
        method_options=plain["method"],
        head_asked=head is not None or plain["head"] != written["head"],
        policy_options=given,
    )


def _refuse_idle(suite: Suite, changed: dict[str, Any]) -> None:
    """Raises `ConfigError` for a changed number of the protocol that the suite does not leave to it."""
    for name, value in changed.items():
        of_tasks = [getattr(suite.task_rules.get(task), name, None) for task in suite.task_names]
        by_task = all(own is not None for own in of_tasks)
        if getattr(suite.rules, name, None) is not None or by_task:
            where = f"suite.task_rules.TASK.{name}" if by_task else f"suite.rules.{name}"
            raise ConfigError(
                f"protocol.{name}={shown(value)} would change nothing: {suite.name} has its own; {where} is what to "
                "change"
            )


def policy_named(head: str) -> str | None:
    """The policy that a head's name means, None for a head: `path/to/file.py:Class`, a registered policy, or in place
    of a whole one the same over a representation (`act`: `act-head`). Raises `ConfigError` where a file of the user's
    has a policy's name.
    """
    from methods.policy_card import PolicyCard
    from methods.registry import class_of, table

    if ".py:" in head:
        return head
    if head in choices("head") or head not in table():
        return None
    card = class_of(head).card
    if not isinstance(card, PolicyCard):
        return None
    if own := in_own_folder("head").get(head):
        raise ConfigError(f"{own} is called as the policy {head} is: give the file another name")
    return card.as_head or head


def _policy(target: str, given: dict[str, Any]) -> PolicyConfig:
    from methods.code import code_facts
    from methods.registry import policy_class

    card = policy_class(target).card
    check_labels(card.name, choices("head"))
    if not card.representation:
        raise ConfigError(f"{target} is a whole policy and takes no representation: leave --method out")
    return policy_config(target, card, given, code_facts(target))


def _suite(values: dict[str, Any]) -> Suite:
    told = values.get("language")
    if told is not None:
        texts = {task: tuple(sentences) for task, sentences in told["instructions"].items()}
        told = settle(Language, {**told, "instructions": texts}, "suite.language")
    # null says nothing: without it the records of a suite are named as those from before there was the option
    seen = values.get("observation") or {}
    silent = {key for key in ("crop", "sizes", "splat") if seen.get(key) is None}
    observation = {key: value for key, value in seen.items() if key not in silent}
    rules = {
        "rules": settle(TaskRules, values.get("rules") or {}, "suite.rules"),
        "task_rules": {
            task: settle(TaskRules, said or {}, f"suite.task_rules.{task}")
            for task, said in (values.get("task_rules") or {}).items()
        },
    }
    values["tasks"] = {group: tasks for group, tasks in values["tasks"].items() if tasks}
    return settle(Suite, {**values, **rules, "observation": observation, "language": told}, "suite")


def load_protocol(name: str) -> Protocol:
    return settle(Protocol, show("protocol", name), "protocol")


def load_head(name: str) -> HeadConfig | DiffusionConfig:
    """A head as its file says, for methods that bring their own."""
    return head_from(show("head", name))


def head_from(values: dict[str, Any]) -> HeadConfig | DiffusionConfig:
    """A head from plain data. Raises `ConfigError`."""
    if "denoiser" in values:
        return settle(DiffusionConfig, values, "head")
    return settle(HeadConfig, values, "head")


def _compose(groups: list[str], overrides: list[str]) -> DictConfig:
    chosen = tuple(groups)
    if not overrides:
        return as_written(chosen)
    overrides = ready(overrides, keys_of(chosen), GROUPS)
    try:
        return with_overrides(chosen, tuple(overrides))
    except (HydraException, OmegaConfBaseException, ValueError, RecursionError) as error:  # the last two: of its parser
        raise ConfigError(refused(overrides, error)) from error


def settle(kind: type[T], values: dict[str, Any], where: str) -> T:
    """A frozen dataclass, which checks its own types and bounds, from plain values. Raises `ConfigError`."""
    fields = hints(kind)
    unknown = sorted(set(values) - set(fields))
    if unknown:
        raise ConfigError(f"{where}.{unknown[0]} is no setting; there are {', '.join(sorted(fields))}")
    needed = [
        f.name
        for f in dataclasses.fields(kind)  # type: ignore[arg-type]
        if f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
    ]
    missing = [name for name in needed if name not in values]
    if missing:
        raise ConfigError(f"{where}.{missing[0]} is missing, and has no default")
    converted: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, list):
            value = tuple(value)
        if plain_type(fields[name]) is float and isinstance(value, int) and fits(value, fields[name]):
            value = float(value)
        converted[name] = value
    return kind(**converted)


def show(group: str, name: str) -> dict[str, Any]:
    """A configuration file as it composes, for `bench show`."""
    config = _compose([f"{group}={choice_of(group, name)[0]}"], [])
    plain: Any = OmegaConf.to_container(config[group], resolve=True)
    return dict(plain)


def kind_of_data(name: str) -> str:
    """Where shipped data for pre-training come from: `metaworld`, `rlbench`, ..."""
    return str(OmegaConf.load(CONF / "data" / f"{name}.yaml").kind)
