"""What a record's JSON looks like: which keys there are, and what may stand under each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Check = Callable[[Any, str], None]
"""Takes a value and where it stands, such as `retest.tally.k`. Raises `OddShape`."""


class OddShape(ValueError):
    """Something in a record is missing or of another kind. The message names it."""


def text(value: Any, where: str) -> None:
    if not isinstance(value, str):
        raise OddShape(f"{where} is {_said(value)}, not text")


def name(value: Any, where: str) -> None:
    """What becomes a part of a path and stands in tables."""
    text(value, where)
    if not value or not value.isprintable() or set(value) & set("/\\") or value.startswith(".") or len(value) > 4096:
        raise OddShape(f"{where} is {_said(value)}, which is no name")


def flag(value: Any, where: str) -> None:
    if not isinstance(value, bool):
        raise OddShape(f"{where} is {_said(value)}, not true or false")


def count(value: Any, where: str) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise OddShape(f"{where} is {_said(value)}, not a number of 0, 1, 2, ...")


def positive(value: Any, where: str) -> None:
    count(value, where)
    if not value:
        raise OddShape(f"{where} is 0")


def number(value: Any, where: str) -> None:
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise OddShape(f"{where} is {_said(value)}, not a number")


def seconds(value: Any, where: str) -> None:
    number(value, where)
    if not 0 <= value < 1e12:
        raise OddShape(f"{where} is {_said(value)} seconds")


def plain(_value: Any, _where: str) -> None:
    """Anything that `benchmark.system.checked_json` lets through."""


def one_of(*allowed: str) -> Check:
    def check(value: Any, where: str) -> None:
        if value not in allowed:
            raise OddShape(f"{where} is {_said(value)}, none of {', '.join(allowed)}")

    return check


def maybe(inner: Check) -> Check:
    """`inner`, or null."""

    def check(value: Any, where: str) -> None:
        if value is not None:
            inner(value, where)

    return check


def each(inner: Check) -> Check:
    """A list of `inner`."""

    def check(value: Any, where: str) -> None:
        if not isinstance(value, list):
            raise OddShape(f"{where} is {_said(value)}, not a list")
        for number_, one in enumerate(value):
            inner(one, f"{where}[{number_}]")

    return check


def mapping(inner: Check) -> Check:
    """An object whose keys are free."""

    def check(value: Any, where: str) -> None:
        if not isinstance(value, dict):
            raise OddShape(f"{where} is {_said(value)}, not an object")
        for key, one in value.items():
            inner(one, f"{where}.{key}")

    return check


def fields(needed: Mapping[str, Check], known: Mapping[str, Check] | None = None, more: bool = True) -> Check:
    """An object with the keys `needed`, perhaps those in `known`, and perhaps `more`."""
    either = {**(known or {}), **needed}

    def check(value: Any, where: str) -> None:
        if not isinstance(value, dict):
            raise OddShape(f"{where or 'it'} is {_said(value)}, not an object")
        prefix = f"{where}." if where else ""
        missing = [key for key in needed if key not in value]
        if missing:
            raise OddShape(f"there is no {prefix}{missing[0]}")
        for key, one in value.items():
            if key in either:
                either[key](one, f"{prefix}{key}")
            elif not more:
                raise OddShape(f"{prefix}{_said(key)} is nothing that a record has")

    return check


def episode(value: Any, where: str) -> None:
    """[seed, success 0 or 1, steps, error or null]"""
    if not isinstance(value, list) or len(value) != 4:
        raise OddShape(f"{where} is {_said(value)}, not [seed, success, steps, error]")
    seed, success, steps, error = value
    count(seed, f"the seed of {where}")
    count(steps, f"the steps of {where}")
    if isinstance(success, bool) or success not in (0, 1) or not isinstance(success, int):
        raise OddShape(f"the success of {where} is {_said(success)}, not 0 or 1")
    maybe(text)(error, f"the error of {where}")
    if error is not None and success:
        raise OddShape(f"{where} is a success and could not be run")


def end(value: Any, where: str) -> None:
    """[seed, why]"""
    if not isinstance(value, list) or len(value) != 2:
        raise OddShape(f"{where} is {_said(value)}, not [seed, why]")
    count(value[0], f"the seed of {where}")
    text(value[1], f"the reason of {where}")


TALLY = fields({"k": count, "n": count, "errors": count}, more=False)
HASHES = {"checkpoint": maybe(text), "actions": maybe(text), "link": maybe(text)}
EVALUATION = fields(
    {
        "epoch": positive,
        "tally": TALLY,
        "episodes": each(episode),
        "train_loss": maybe(number),
        "valid_loss": maybe(number),
    },
    {**HASHES, "ended": each(end)},
    more=False,
)
RULES = fields(
    {}, {"horizon": positive, "success": one_of("any-step", "last-step"), "clip_actions": flag, "frame_every": positive}
)
PROTOCOL = fields(
    {
        "name": name,
        "train_demos": positive,
        "valid_demos": count,
        "horizon": positive,
        "epochs": positive,
        "evaluate_every": positive,
        "rollouts": positive,
        "retest_rollouts": positive,
        "success": one_of("any-step", "last-step"),
        "select": one_of("first", "last", "final"),
        "batch_size": mapping(positive),
    }
)
IDENTITY = fields(
    {
        "schema": positive,
        "suite": fields(
            {"name": name}, {"language": fields({"text": text}), "rules": RULES, "task_rules": mapping(RULES)}
        ),
        "task": name,
        "seed": count,
        "protocol": PROTOCOL,
        "head": fields({"name": name}, {"policy": fields({}, {"weights": each(text)})}),
        "precision": text,
        "method": fields(
            {"name": name, "training": text, "batch": text, "observes": each(text), "weights": each(text)},
            {
                "options": mapping(text),
                "version": count,
                "source": plain,
                "packages": mapping(maybe(text)),
                "input": maybe(fields({})),
            },
        ),
        "env": fields({"name": name, "version": text, "packages": mapping(maybe(text))}),
        "observation": fields({"fields": each(text)}, {"cameras": each(text)}),
    }
)
PROVENANCE = fields(
    {},
    {
        "git": maybe(fields({}, {"commit": maybe(text)})),
        "versions": mapping(maybe(text)),
        "command": text,
        "machine": fields({}, {"cpu": text, "device": text}),
        "attempts": each(plain),
        "method_text": maybe(text),
        "torch_threads": count,
    },
)
PRETRAINING = fields({}, {"untrained_teacher": flag, "variant": text})
RECORD = fields(
    {
        "schema": positive,
        "suite": name,
        "task": name,
        "method": name,
        "head": name,
        "seed": count,
        "protocol": name,
        "identity": IDENTITY,
        "identity_hash": text,
        "card": fields({"name": name, "title": text}, {"kind": text, "training": text, "reported_as": maybe(text)}),
        "success_rule": text,
        "horizon": positive,
        "demo_hash": text,
        "demos": fields({"train": positive, "valid": count, "attempts": count}, {"train_lengths": each(positive)}),
        "training": fields(
            {
                "optimizer_steps": count,
                "batch_size": positive,
                "epochs": positive,
                "samples": positive,
                "parameters_encoder": count,
                "parameters_total": count,
                "parameters_trained": count,
                "train_loss": each(number),
            }
        ),
        "evaluations": each(EVALUATION),
        "selected_epoch": positive,
        "retest": EVALUATION,
        "frozen": fields({"by_card": flag, "before": text, "after": text, "unchanged": flag}),
        "weights": fields(
            {"files": mapping(text), "untrained": flag},
            {
                "pretraining": PRETRAINING,
                "policy": fields({"files": mapping(text), "untrained": flag}, {"pretraining": PRETRAINING}),
                "text": fields({}, {"encoder": text}),
            },
        ),
        "fingerprint": text,
        "provenance": PROVENANCE,
        "timings": mapping(seconds),
        "env": text,
    },
    {"migrated": fields({}, {"schema": count, "identity_hash": text, "unknown": each(text)}), "seal": text},
    more=False,
)


def _said(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= 60 else f"{shown[:57]}..."
