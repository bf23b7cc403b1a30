"""What there is, by name: suites, methods, tasks, heads, protocols, data to pre-train on."""

from __future__ import annotations

from typing import Any

import yaml

from benchmark.config import CONF, as_yaml, choices, summary
from benchmark.config import show as show_config
from envs.registry import ENVS, UnknownName, env_class
from methods.card import MethodCard
from methods.registry import method_class, table

KINDS = ("suites", "methods", "tasks", "heads", "protocols", "data")


def listing(what: str, suite: str | None = None) -> dict[str, dict[str, str]]:
    """Kind -> name -> one line. Raises `UnknownName` for another kind or suite."""
    if what not in (*KINDS, "all"):
        raise UnknownName("kind", what, (*KINDS, "all"))
    found: dict[str, dict[str, str]] = {}
    for kind in KINDS if what == "all" else (what,):
        if kind == "methods":
            found[kind] = dict(sorted(table().items()))
        elif kind == "tasks":
            found[kind] = _tasks(suite)
        else:
            group = kind.rstrip("s")
            found[kind] = {name: summary(group, name) for name in choices(group)}
    return found


def _tasks(suite: str | None) -> dict[str, str]:
    if suite is None:
        return {f"{env}/{task}": env_class(env).instruction(task) for env in ENVS for task in env_class(env).tasks}
    if suite not in choices("suite"):
        raise UnknownName("suite", suite, choices("suite"))
    facts = yaml.safe_load((CONF / "suite" / f"{suite}.yaml").read_text())
    return {
        task: f"{group}: {env_class(facts['env']).instruction(task)}"
        for group, tasks in facts["tasks"].items()
        for task in tasks
    }


def cards() -> list[MethodCard]:
    """Every registered method's card once, in the order of the tables."""
    return list({method_class(name).card.name: method_class(name).card for name in table()}.values())


def describe(name: str) -> dict[str, Any]:
    """Everything about one name, whatever kind it is. Raises `UnknownName` with the closest match."""
    for group in ("suite", "protocol", "head"):
        if name in choices(group):
            return {"what": group, **show_config(group, name)}
    for group in ("data", "pretrain"):
        short = name.removeprefix(f"{group}/")
        if short in choices(group) and (group == "data" or short != name):  # clar alone is a method and a protocol
            return {"what": group, **yaml.safe_load((CONF / group / f"{short}.yaml").read_text())}
    if ".py:" in name or name in table():
        return {"what": "method", "class": table().get(name, name), **method_class(name).card.as_dict()}
    for env in ENVS:
        cls = env_class(env)
        if name in cls.tasks:
            used = [s for s in choices("suite") if name in _tasks(s)]
            return {"what": "task", "env": env, "task": name, "instruction": cls.instruction(name), "suites": used}
        if name == env:
            return {
                "what": "simulator", "name": env, "version": cls.version, "tasks": list(cls.tasks),
                "cameras": list(cls.cameras), "provides": sorted(cls.provides),
                "action": list(cls.action_spec.names), "proprio": list(cls.proprio_names),
            }  # fmt: skip
    known = [*table(), *ENVS, *(c for g in ("suite", "protocol", "head", "data") for c in choices(g))]
    known += [f"pretrain/{name}" for name in choices("pretrain")]
    known += [task for env in ENVS for task in env_class(env).tasks]
    raise UnknownName("name", name, known)


def render_listing(found: dict[str, dict[str, str]]) -> str:
    lines = []
    for kind, names in found.items():
        lines.append(f"{kind}:")
        width = max(map(len, names), default=0)
        lines += [f"  {name:<{width}}  {text}" for name, text in names.items()]
    return "\n".join(lines)


def render_description(found: dict[str, Any]) -> str:
    return as_yaml(_plain(found)).rstrip()


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value
