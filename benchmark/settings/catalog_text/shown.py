"""`bench show NAME` as text: what there is to know, and at the end a command to run it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmark.settings.catalog_text.cards import card_text, weights_are_here
from benchmark.settings.catalog_text.entries import entries
from benchmark.settings.catalog_text.settings import settings_text
from benchmark.settings.load import CONF
from benchmark.settings.user_files import file_of
from benchmark.system.wrapped import wrapped
from envs.description import describe as describe_simulator
from envs.registry import ENVS
from methods.weight_places import weights_folder

CARDS = ("method", "policy", "whole policy")
FIRST = "--suite metaworld-15 --tasks reach"
"""Where something is run first: one task, in minutes under the protocol `quick`."""
ELSEWHERE = {
    "clar-rlbench": "--suite rlbench4-port --tasks close-box",
    "clamp": "--suite aloha-6 --tasks pen-in-container",
}
"""Where a protocol of another simulator is run, by how its name begins."""
SIMULATED = ("metaworld", "aloha")
"""Kinds of data that are made here; the others lie in a folder of the user's."""
GROUPS = {"suite": "suite.", "protocol": "protocol.", "head": "head."}


def shown(name: str, found: Mapping[str, Any], width: int) -> str:
    """name: as it was asked for; found: as `bench show --json` has it."""
    what = found["what"]
    if what in CARDS:
        lines = card_text(name.removeprefix("method/").removeprefix("head/"), found, width)
    elif what in ("simulator", "task"):
        lines = _plain(found, width)
    else:
        prefix = GROUPS.get(what, f"{found['name']}." if what == "data" else "")
        lines = settings_text(found, prefix, _file(what, name), CONF / what, width)
    if found.get("also"):
        lines += ["", wrapped(f"also: bench show {', '.join(found['also'])}", width)]
    command = _command(name, found)
    said = "go on:" if command.startswith("bench list") else "run it:"
    return "\n".join([*lines, "", said, _in_lines(command, width)])


def _in_lines(command: str, width: int) -> str:
    """As a shell takes it: a line that is too long goes on behind a backslash."""
    lines = ["  "]
    for part in re.split(r" (?=--)", command):
        if len(lines[-1]) + len(part) + 3 > width and lines[-1].strip():
            lines[-1] += " \\"
            lines.append("      ")
        lines[-1] += ("" if not lines[-1].strip() else " ") + part
    return "\n".join(lines)


def _file(group: str, name: str) -> Path:
    short = name.removeprefix(f"{group}/")
    own = file_of(group, short) if group in GROUPS else None
    return own or CONF / group / f"{short}.yaml"


def _plain(found: Mapping[str, Any], width: int) -> list[str]:
    title = found.get("task") or found["name"]
    facts = [
        (key.replace("_", " "), ", ".join(map(str, value)) if isinstance(value, list) else str(value))
        for key, value in found.items()
        if key not in ("what", "name", "task", "also", "action_parts")
    ]
    for part in found.get("action_parts", ()):
        said = ", ".join(f"{key}={value}" for key, value in part.items() if key != "name" and value != "")
        facts.append((f"part {part['name']}", said))
    return [f"{title} ({found['what']})", *entries(facts, width)]


def _command(name: str, found: Mapping[str, Any]) -> str:
    what, own = found["what"], found["name"] if "name" in found else found["task"]
    if what in CARDS:
        asked = shlex.quote(name) if ".py:" in name or ":" in name else own
        random = "" if weights_are_here(found, weights_folder()) else " --weights random"
        how = f"--method {asked}" if what != "policy" else f"--method state --policy {asked}"
        if found.get("begins_as"):  # beside a method's tokens, and a run says what it begins with
            how = f"--method {found['begins_as']}+clip"
            random = " --weights random policy.weights=random"
        return f"bench run {FIRST} {how} --protocol quick{random}"
    if what == "head":
        return f"bench run {FIRST} --method state --head {_given(name, own)} --protocol quick"
    if what == "protocol":
        where = next((place for begin, place in ELSEWHERE.items() if own.startswith(begin)), FIRST)
        return f"bench run {where} --method dp3 --protocol {_given(name, own)} --dry-run"
    if what == "suite":
        hashed = " --text hash" if found.get("language") else ""  # no weights are needed for it
        return f"bench run --suite {_given(name, own)} --method {_seeing(found)}{hashed} --dry-run"
    if what == "task":
        if not found["suites"]:
            return "bench list suites"
        return f"bench run --suite {found['suites'][0]} --tasks {own} --method {_seeing(found)} --protocol quick"
    if what == "data":
        root = "" if found["kind"] in SIMULATED else f" {own}.root=FOLDER"
        return f"bench pretrain --method clar-small --data {own} --without contrast,local --dry-run{root}"
    if what == "pretrain":
        alone = " --without contrast,local" if own.startswith("clar") else ""  # needs no teacher's weights
        return f"bench pretrain --method {own} --data metaworld-35{alone} --dry-run"
    return "bench list suites"


def _seeing(found: Mapping[str, Any]) -> str:
    """A method that needs no weights and sees what the simulator gives. A user's simulator may be in another Python."""
    if found.get("env") not in ENVS:
        return "proprio-only"
    return "state" if "ground_truth" in describe_simulator(found["env"]).provides else "dp3"


def _given(name: str, own: str) -> str:
    """A file as it was named; of names in the user's folder and of ours the name."""
    return shlex.quote(name) if name.endswith((".yaml", ".yml")) else own
