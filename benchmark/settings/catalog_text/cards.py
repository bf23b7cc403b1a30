"""A method or a policy as text: what it sees, what of it is trained, its weights, its options."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmark.settings.catalog_text.entries import entries
from benchmark.settings.catalog_text.seen import sees
from benchmark.system.wrapped import wrapped
from envs.files import why_no_file
from methods.card import WeightFile
from methods.weight_places import locate, weights_folder

TRAINING = {
    "frozen": "nothing: it is frozen, and its features are computed once",
    "partial": "part of it",
    "end-to-end": "all of it",
}
RESIZED = {
    "none": "rendered at {size} x {size} pixels",
    "stretch": "stretched to {scaled} x {scaled} pixels",
    "short-side": "the short side resized to {scaled} pixels",
    "whole": "shrunk until the short side has {size} pixels at most",
}
CLOUDS = {
    "none": "in metres",
    "unit_sphere": "each cloud scaled into a sphere of radius 1",
    "limits": "each axis scaled to the training clouds' limits",
    "fixed": "with one centre and one scale for all tasks",
    "task": "with one centre and one scale for each task",
    "workspace": "with one centre and one scale, of the task or of the weights",
}
WINDOW = {
    "chunk": "actions that it gives for one observation",
    "lead": "of them, those before the present",
    "execute": "of them, those that are played before it looks again",
    "obs_steps": "observations that it looks at",
    "pad_after": "actions of a chunk that may lie past the episode's end in training; -1: any number",
    "ensemble": "weights exp(-ensemble * i) of the latest chunks (temporal ensembling); -1: off",
}


def card_text(name: str, found: Mapping[str, Any], width: int) -> list[str]:
    """name: as it was asked for; found: as `bench show --json` has it."""
    option = "method" if found["what"] == "method" else "policy"
    options = [
        (f"{option}.{one['name']}={one['default']}", f"({', '.join(one['allowed'])}) {one['meaning']}")
        for one in found["options"]
    ]
    if option == "policy":
        options += [(f"policy.{key}={found[key]}", meaning) for key, meaning in WINDOW.items()]
    lines = [
        wrapped(f"{found['name']}: {found['title']} ({found['what']})", width),
        wrapped(found["summary"], width, "  ", "  "),
        "",
        *entries(_facts(name, found), width),
    ]
    if options:
        lines += ["", "options, as they are given (allowed values), and what they mean:", *entries(options, width)]
    if found["notes"]:
        lines += ["", "notes:", *(wrapped(note, width, "  - ", "    ") for note in found["notes"])]
    return lines


def _facts(name: str, found: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "sees", _sight(found)
    if found["past_actions"]:
        yield "remembers", f"its last {found['past_actions']} actions"
    yield "trained", TRAINING[found["training"]]
    if found["parameters"]:
        source = f" ({found['parameters_source']})" if found["parameters_source"] else ""
        yield "parameters", f"{found['parameters']:,}{source}"
    yield from _weights(found)
    for package, how in found["requires"]:
        yield "needs", f"{package}, which is {'' if _installed(package) else 'not '}installed here: {how}"
    if found["head"]:
        yield "head", f"{found['head']}, its own"
    yield "batch size", f"the protocol's for {found['batch'].upper()} methods"
    if found["reported_as"]:
        yield "in tables", f"the papers' row {found['reported_as']}"
    yield "paper", found["paper"]
    yield "licence", found["licence"]
    if found["name"] != name and ".py:" not in name:
        yield "asked for", f"{name}, another name of it"
    yield "class", found["class"]
    yield "version", f"{found['version']}; it rises when what the method computes changes"


def _installed(package: str) -> bool:
    try:
        return importlib.util.find_spec(package.partition(".")[0]) is not None
    except (ImportError, ValueError):  # no package's name
        return False


def _sight(found: Mapping[str, Any]) -> str:
    observes = tuple(field for field in found["observes"] if field != "past_actions")
    over = found.get("representation", False)
    own = _own_sight(observes, found) if observes or not over else ""
    return "; ".join(filter(None, (own, "what a method makes of its own sight" if over else "")))


def _own_sight(observes: tuple[str, ...], found: Mapping[str, Any]) -> str:
    text = sees(observes)
    given = found["input"]
    if given is None:
        return text
    if "num_points" in given:
        return f"{text}, {given['num_points']:,} points {CLOUDS[given['normalization']]}"
    if "field" in given:
        return text if given["normalization"] == "none" else f"{text}, standardized over the training demonstrations"
    size, scaled = given["size"], given["scaled"] or given["size"]
    how = RESIZED[given["resize"]].format(size=size, scaled=scaled)
    cut = f", of which the central {size} x {size} are cut out" if given["resize"] in ("stretch", "short-side") else ""
    return f"{text}, {how}{cut}"


def _weights(found: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if not found["weights"]:
        yield "weights", "none are needed"
        return
    folder = weights_folder()
    for given in found["weights"]:
        file = WeightFile(**given)
        path = locate(found["name"], file, folder)
        if not why_no_file(path):
            state = f"on this machine, {path}"
        elif file.url is None:
            state = "nobody has published it: give your own with --weights FILE, or --weights random"
        else:
            state = f"not on this machine: bench weights {found['name']} --fetch, or --weights random"
        bare = " (not for commercial use)" if file.non_commercial else ""
        yield "weights", f"{file.filename}: {state}"
        yield "", f"licence: {file.licence}{bare}{f'; {file.note}' if file.note else ''}"


def weights_are_here(found: Mapping[str, Any], folder: Path) -> bool:
    return not any(why_no_file(locate(found["name"], WeightFile(**one), folder)) for one in found["weights"])
