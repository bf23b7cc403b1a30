"""What the entries of an action mean: positions, rotations, grippers, joints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from envs.errors import UserError

KINDS = ("position", "delta", "quaternion", "gripper", "joint", "other")


class BadParts(UserError, ValueError):
    """Parts that are not the whole action, in order, each once."""


@dataclass(frozen=True)
class ActionPart:
    """Some of an action's entries, which mean one thing: [start, stop).

    kind: `position` (where to), `delta` (by how much), `quaternion` (four entries, a rotation or the difference of two;
    q and -q are the same), `gripper`, `joint` (targets) or `other`. unit, frame: for people.
    """

    name: str
    start: int
    stop: int
    kind: str = "other"
    unit: str = ""
    frame: str = ""

    @property
    def slice(self) -> slice:
        return slice(self.start, self.stop)


def check_parts(parts: Sequence[ActionPart], size: int) -> None:
    """Raises `BadParts`, naming the first part that leaves out entries, overlaps, or is called as another is."""
    at = 0
    for number, part in enumerate(parts):
        wrong = f"the action's part {part.name!r}"
        if part.start != at or part.stop <= at:
            raise BadParts(f"{wrong} is {part.start} to {part.stop}; parts follow each other, and it begins at {at}")
        if part.kind not in KINDS:
            raise BadParts(f"{wrong} is {part.kind!r}, none of {', '.join(KINDS)}")
        if part.kind == "quaternion" and part.stop - part.start != 4:
            raise BadParts(f"{wrong} is a quaternion of {part.stop - part.start} numbers, which has 4")
        if not part.name.isidentifier() or part.name in [one.name for one in parts[:number]]:
            raise BadParts(f"{wrong} needs a name of its own, of letters, digits and _")
        at = part.stop
    if at != size:
        raise BadParts(f"the action's parts end at {at}, and it has {size} entries")
