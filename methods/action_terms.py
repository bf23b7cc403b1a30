"""How the parts of an action are scaled and scored, in the words of a protocol; imports no torch.

`10*mse(position) + 0.1*cosine(quaternion) + 0.01*mse(gripper)` is a sum of terms, each with its weight, over a part by
its name, or over the parts of a kind. `range(position) + none(quaternion, gripper)` says how parts are scaled before.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from envs.action_parts import ActionPart
from envs.errors import UserError
from envs.spec import ActionSpec

LOSSES = ("mse", "l1", "cosine")
"""`cosine`: 1 - |cos| of two quaternions, blind to their sign, since q and -q are one rotation. `mse` and `l1` of a
quaternion are of whichever of the two signs of the target is nearer."""
SCALINGS = ("range", "standardize", "none")
"""`range`: each entry's training range to [-1, 1]; `standardize`: its mean and deviation to 0 and 1."""
TERM = re.compile(r"(?:([0-9.eE+-]+)\s*\*\s*)?([a-z0-9_]+)\s*\(([^()]*)\)")


class BadTerms(UserError, ValueError):
    """Words that say no loss or scaling, or none of this action."""


@dataclass(frozen=True)
class Term:
    """weight * kind(part), one part."""

    weight: float
    kind: str
    part: ActionPart


def split_terms(text: str, allowed: Sequence[str], what: str) -> list[tuple[float, str, list[str]]]:
    """(weight, kind, names) of each term. Raises `BadTerms`, which says `what` it is."""
    found, rest = [], text.strip()
    while rest:
        match = TERM.match(rest)
        if match is None:
            raise BadTerms(f"{what}={text!r}: write {' | '.join(allowed)}, such as 10*{allowed[0]}(position) + ...")
        weight, kind, names = match[1] or "1", match[2], [name.strip() for name in match[3].split(",")]
        if kind not in allowed:
            raise BadTerms(f"{what}: {kind} is none of {', '.join(allowed)}")
        try:
            number = float(weight)
        except ValueError:
            number = math.nan
        if not 0 < number < 1e9:
            raise BadTerms(f"{what}: the weight {weight} of {kind} is no number above 0")
        found.append((number, kind, names))
        rest = rest[match.end() :].strip()
        if rest and not rest.startswith("+"):
            raise BadTerms(f"{what}={text!r}: terms are joined by +")
        rest = rest.removeprefix("+").strip()
    return found


def loss_terms(text: str, action: ActionSpec) -> tuple[Term, ...]:
    """The terms of this action, each part in one or more. () for "". Raises `BadTerms`."""
    what = "protocol.action_loss"
    found = [
        Term(weight, kind, part)
        for weight, kind, names in split_terms(text, LOSSES, what)
        for name in names
        for part in _named(name, action, what)
    ]
    for term in found:
        if term.kind == "cosine" and term.part.kind != "quaternion":
            raise BadTerms(f"{what}: cosine is of quaternions, and {term.part.name} is {term.part.kind}")
    if found and (missing := [p.name for p in action.all_parts if p not in [term.part for term in found]]):
        raise BadTerms(f"{what}: {missing[0]} has no term, so it would never be learned")
    if len({(term.kind, term.part.name) for term in found}) < len(found):
        raise BadTerms(f"{what} names one term of one part twice")
    return tuple(found)


def scalings(text: str, action: ActionSpec, otherwise: str) -> dict[str, str]:
    """How each part is scaled, by its name; `otherwise` where nothing is said. Quaternions never are.

    Raises `BadTerms`.
    """
    what = "protocol.action_scaling"
    found = {part.name: "none" if part.kind == "quaternion" else otherwise for part in action.all_parts}
    for weight, kind, names in split_terms(text, SCALINGS, what):
        if weight != 1:
            raise BadTerms(f"{what}: a scaling has no weight")
        for part in (part for name in names for part in _named(name, action, what)):
            if part.kind == "quaternion" and kind != "none":
                raise BadTerms(f"{what}: {part.name} is a quaternion, whose entries are never scaled")
            found[part.name] = kind
    return found


def _named(name: str, action: ActionSpec, what: str) -> list[ActionPart]:
    parts = action.all_parts
    found = [part for part in parts if part.name == name] or [part for part in parts if part.kind == name]
    if not found:
        known = ", ".join(f"{part.name} ({part.kind})" for part in parts)
        raise BadTerms(f"{what}: the action has no part {name!r}; it has {known}")
    return found
