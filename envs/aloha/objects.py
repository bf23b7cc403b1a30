"""The objects of each task of `aloha`, by name, in the order of `ground_truth`: what is moved, where to, the others."""

from __future__ import annotations

DINING = ("pen", "container", "mug", "plate", "banana", "bowl")
TOOLS = ("screwdriver", "magnifier", "can_opener", "thumb_drive", "scissors")
STRIDE = 7
"""In `ground_truth`: of each object its place 3 and rotation 4."""


def _dining(moved: str, to: str) -> tuple[str, ...]:
    return (moved, to, *(one for one in DINING if one not in (moved, to)))


def _tools(tool: str) -> tuple[str, ...]:
    return (tool, "caddy", *(one for one in TOOLS if one != tool))


_BOX = ("box",)
NAMES: dict[str, tuple[str, ...]] = {
    "drawer-open": _BOX,
    "mug-on-plate": _dining("mug", "plate"),
    "pen-in-container": _dining("pen", "container"),
    "screwdriver-in-caddy": _tools("screwdriver"),
    "can-opener-in-caddy": _tools("can_opener"),
    "plate-on-rack": ("plate", "rack"),
    "screwdriver-in-left-compartment": _tools("screwdriver"),
    "can-opener-in-right-compartment": _tools("can_opener"),
    "banana-in-bowl": _dining("banana", "bowl"),
    "pen-on-plate": _dining("pen", "plate"),
    "bowl-on-rack": ("bowl", "rack"),
    "middle-drawer-open": _BOX,
    "top-drawer-open": _BOX,
    "bottom-drawer-close": _BOX,
}
"""Of the bodies of the scene (`envs.aloha.props`)."""
SAID = {"box": "jewelry box", "can_opener": "can opener", "container": "cup", "thumb_drive": "thumb drive"}
"""What the instructions call them, where that is another word."""


def objects(task: str) -> tuple[tuple[str, int], ...]:
    """As `envs.base.Env` describes it. How far drawers are open is not among places."""
    return tuple((SAID.get(name, name), STRIDE * number) for number, name in enumerate(NAMES[task]))
