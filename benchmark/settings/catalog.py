"""What there is, by name: suites, methods, tasks, heads, protocols, data to pre-train on."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from baselines import POLICIES
from benchmark.settings.load import CONF, GROUPS, choices, policy_named, summary
from benchmark.settings.load import show as show_config
from benchmark.settings.user_files import in_own_folder, is_path, looks_like, name_taken
from envs.class_facts import NoSimulator
from envs.description import describe as describe_simulator
from envs.registry import ENVS, UnknownName
from methods.card import MethodCard
from methods.policy_card import PolicyCard
from methods.registry import class_of, is_known, table

KINDS = ("suites", "methods", "policies", "tasks", "heads", "protocols", "data")


def listing(what: str, suite: str | None = None, python: str | None = None) -> dict[str, dict[str, str]]:
    """Kind -> name -> one line. Raises `UnknownName` for another kind or suite.

    suite, python: of tasks, those of this suite, as the interpreter says that holds its simulator (None: this one).
    """
    if what not in (*KINDS, "all"):
        raise UnknownName("kind", what, (*KINDS, "all"))
    found: dict[str, dict[str, str]] = {}
    for kind in KINDS if what == "all" else (what,):
        if kind == "methods":
            found[kind] = {name: target for name, target in sorted(table().items()) if name not in POLICIES}
        elif kind == "policies":
            found[kind] = dict(sorted(POLICIES.items()))
        elif kind == "tasks":
            found[kind] = _tasks(suite, python)
        else:
            group = kind.rstrip("s")
            found[kind] = {name: summary(group, name) for name in choices(group)}
            if group in GROUPS:
                found[kind] |= {
                    name: name_taken(file, group) if name in found[kind] else f"yours: {file}"
                    for name, file in in_own_folder(group).items()
                }
    return found


def _tasks(suite: str | None, python: str | None = None) -> dict[str, str]:
    if suite is None:
        simulators = {env: describe_simulator(env) for env in ENVS}
        return {f"{env}/{task}": one.instruction(task) for env, one in simulators.items() for task in one.tasks}
    facts = show_config("suite", suite)
    simulator = describe_simulator(facts["env"], python)
    return {
        task: f"{group}: {simulator.instruction(task)}" for group, tasks in facts["tasks"].items() for task in tasks
    }


def cards() -> list[MethodCard]:
    """Every registered representation's card once, in the order of the tables."""
    return [card for card in _every_card() if not isinstance(card, PolicyCard)]


def whole_policies() -> list[PolicyCard]:
    """Cards of the registered policies that stand over no representation, and so in the place of a method."""
    return [card for card in _every_card() if isinstance(card, PolicyCard) and not card.representation]


def _every_card() -> list[MethodCard]:
    return list({class_of(name).card.name: class_of(name).card for name in table()}.values())


def describe(name: str) -> dict[str, Any]:
    """Everything about one name.

    Several kinds may have it (`clar` is a method, a protocol and a pre-training): the first of `DESCRIBED` is shown,
    `also` names the others, and `KIND/NAME` shows those. Raises `UnknownName`, or `ConfigError` for a file that cannot
    be taken.
    """
    kind, sign, short = name.partition("/")
    if sign and kind in DESCRIBED and not is_path(short):
        found = DESCRIBED[kind](short)
        if found is None:
            raise UnknownName(kind, short, [one.partition("/")[2] for one in _known() if one.startswith(f"{kind}/")])
        return found
    having = {kind: found for kind, describer in DESCRIBED.items() if (found := describer(name)) is not None}
    if not having:
        raise UnknownName("name", name, sorted({one.partition("/")[2] for one in _known()} | set(_known())))
    first, *others = having
    if having.get("head", {}).get("what") == "policy" and name == having["head"]["name"]:
        others.remove("head")  # the same once more
    return having[first] | ({"also": [f"{kind}/{name}" for kind in others]} if others else {})


def _method(name: str) -> dict[str, Any] | None:
    if ".py:" not in name and not is_known(name):
        return None
    card = class_of(name).card
    whole = None if card.input is None else dataclasses.asdict(card.input)  # with what has its default
    what = "method" if not isinstance(card, PolicyCard) else "policy" if card.representation else "whole policy"
    return {"what": what, "class": table().get(name, name), **card.as_dict(), "input": whole}


def _composed(group: str) -> Callable[[str], dict[str, Any] | None]:
    def describer(name: str) -> dict[str, Any] | None:
        if name not in choices(group) and name not in in_own_folder(group) and not _is_file_of(group, name):
            return None
        return {"what": group, **show_config(group, name)}

    return describer


def _head(name: str) -> dict[str, Any] | None:
    """A head, or what `--head NAME` makes of a policy: of a whole one the same over a representation."""
    if (found := _composed("head")(name)) is not None:
        return found
    policy = policy_named(name) if ".py:" not in name else None
    over = _method(policy) if policy else None
    return over if over is not None and over["representation"] else None


def _is_file_of(group: str, path: str) -> bool:
    """A user's file, whose kind is told by what it has: tasks, a denoiser or hidden layers, or neither."""
    if not is_path(path) or ".py:" in path or not Path(path).is_file():
        return False
    kinds = [kind for kind in GROUPS if looks_like(kind, Path(path))]
    return group == (kinds[0] if kinds else "protocol")


def _file_in(group: str) -> Callable[[str], dict[str, Any] | None]:
    def describer(name: str) -> dict[str, Any] | None:
        if name not in choices(group):
            return None
        return {"what": group, **yaml.safe_load((CONF / group / f"{name}.yaml").read_text())}

    return describer


def _simulator(name: str) -> dict[str, Any] | None:
    if name not in ENVS:
        return None
    cls = describe_simulator(name)
    try:
        version = cls.version
    except NoSimulator as error:
        version = str(error)
    return {
        "what": "simulator",
        "name": name,
        "version": version,
        "tasks": list(cls.tasks),
        "cameras": list(cls.cameras),
        "provides": sorted(cls.provides),
        "action": list(cls.action_spec.names),
        "proprio": list(cls.proprio_names),
        **({"action_parts": [dataclasses.asdict(part) for part in parts]} if (parts := cls.action_spec.parts) else {}),
    }


def _task(name: str) -> dict[str, Any] | None:
    """`reach`, or `metaworld/reach` as `bench list` prints it."""
    for env in ENVS:
        task = name.removeprefix(f"{env}/")
        simulator = describe_simulator(env)
        if task in simulator.tasks:
            used = [one for one in choices("suite") if show_config("suite", one)["env"] == env and task in _tasks(one)]
            said = simulator.instruction(task)
            return {"what": "task", "env": env, "task": task, "instruction": said, "suites": used}
    return None


DESCRIBED: dict[str, Callable[[str], dict[str, Any] | None]] = {
    "method": _method,
    "suite": _composed("suite"),
    "protocol": _composed("protocol"),
    "head": _head,
    "data": _file_in("data"),
    "pretrain": _file_in("pretrain"),
    "simulator": _simulator,
    "task": _task,
}
"""Kind -> what is said of a name of it, None where there is none; in the order in which a bare name is looked for."""


def _known() -> list[str]:
    """Every KIND/NAME."""
    known = [f"method/{name}" for name in table()] + [f"simulator/{env}" for env in ENVS]
    for group in (*GROUPS, "data", "pretrain"):
        known += [f"{group}/{name}" for name in (*choices(group), *(in_own_folder(group) if group in GROUPS else ()))]
    known += [f"head/{name}" for name in POLICIES if _head(name) is not None]
    return known + [f"task/{task}" for env in ENVS for task in describe_simulator(env).tasks]


def register_baselines() -> None:
    from baselines import BASELINES, POLICIES
    from baselines.hub import FAMILIES
    from methods import registry

    registry.add(BASELINES | POLICIES)
    registry.add_families(FAMILIES)
