"""CLAMP's six tasks and further ones: objects, beginnings, instructions, and when they are done.

The rules are aloha_sim's at the pinned commit, but for those that are not in it, which are ours: plate-on-rack,
pen-on-plate and bottom-drawer-close; the upper drawers open by the bottom one's rule.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from envs.aloha import layouts, props
from envs.aloha.boxes import box, overlap
from envs.aloha.instructions import INSTRUCTIONS
from envs.aloha.layouts import Layout
from envs.aloha.objects import NAMES, TOOLS
from envs.aloha.props import Prop
from envs.aloha.world import World

OPEN = 0.05
"""Metres that a drawer has to be open."""
CLOSED = 0.01
"""Metres that a closed one may be open."""
IN_CUP = (box((0, 0, 0.016), (0.028, 0.028, 0.015)), box((0, 0, 0.15), (0.06, 0.06, 0.01)))
"""In the cup's frame: near its bottom, and above it where a standing pen's other end is. A pen has to reach both."""
COMPARTMENTS = {
    "left": box((-0.032, 0, -0.01), (0.015, 0.047, 0.025)),
    "right": box((0.032, 0, -0.01), (0.015, 0.047, 0.025)),
}
"""In the caddy's frame."""
IN_BOWL = box((-0.0255, -0.0675, 0.0525), (0.03, 0.03, 0.015))
"""In the bowl's frame: a banana that lies in it reaches in here."""
PLATES_MIDDLE = np.array([-0.0091, 0.0, 0.0])
"""Of the plate's rim in the dining scenes, in its frame, metres."""
WITHIN = 0.08
"""Metres, in plan, from there to the centre of mass of a pen on the plate."""
UPRIGHT = 0.7
"""The cosine between a plate's axis and the vertical that counts as standing: more than 45 degrees."""
ABOVE_RACK = 0.02
WIRES = ((-0.12, 0.12), (-0.13, 0.10))
"""Of the rack's wires, x and y in its frame, metres."""


@dataclass(frozen=True)
class Task:
    """apart: a layout in which objects touch each other is drawn again. settles: they come to rest before it begins.
    drawers: metres (3,) that they are open then, drawn after the layout; None: closed.

    names: of the objects in the order of `ground_truth`: what is moved, where to, the others.
    """

    instruction: str
    props: Mapping[str, Prop]
    names: tuple[str, ...]
    layout: Callable[[np.random.Generator], Layout]
    done: Callable[[World], bool]
    apart: bool = False
    settles: bool = True
    drawers: Callable[[np.random.Generator], np.ndarray] | None = None


def drawer_open(number: int) -> Callable[[World], bool]:
    """number: 0 top, 1 middle, 2 bottom."""
    return lambda world: bool(world.slides()[number] > OPEN) and not world.moving(("box",))


def drawer_closed(world: World) -> bool:
    return bool(world.slides()[2] < CLOSED) and not world.moving(("box",))


def mug_on_plate(world: World) -> bool:
    """They touch and neither moves; a hand may still hold the mug."""
    return not world.moving(("mug", "plate")) and world.touch("mug", "plate")


def pen_on_plate(world: World) -> bool:
    """They touch, neither moves, and the pen is over the middle: it does not lean on the rim from outside."""
    if world.moving(("pen", "plate")) or not world.touch("pen", "plate"):
        return False
    place, turn = world.pose("plate")
    away = world.centre("pen") - (place + turn @ PLATES_MIDDLE)
    return bool(np.linalg.norm(away[:2]) < WITHIN)


def banana_in_bowl(world: World) -> bool:
    if world.moving(("banana", "bowl")):
        return False
    inside = IN_BOWL.moved(*world.pose("bowl"))
    return any(overlap(own, inside) for own in world.boxes("banana"))


def bowl_on_rack(world: World) -> bool:
    """They touch, neither moves, the bowl is above the rack; a hand may still hold it."""
    above = world.pose("bowl")[0][2] > world.pose("rack")[0][2] + ABOVE_RACK
    return bool(above) and not world.moving(("bowl", "rack")) and world.touch("bowl", "rack")


def pen_in_container(world: World) -> bool:
    if world.moving(("pen", "container")):
        return False
    pose = world.pose("container")
    return all(any(overlap(own, inside.moved(*pose)) for own in world.boxes("pen")) for inside in IN_CUP)


def tool_in(tool: str, compartment: str) -> Callable[[World], bool]:
    """It alone is in a compartment, in this one, and nothing moves."""

    def done(world: World) -> bool:
        if world.moving(("caddy", *TOOLS)):
            return False
        pose = world.pose("caddy")
        inside = {name: place.moved(*pose) for name, place in COMPARTMENTS.items()}
        if not any(overlap(own, inside[compartment]) for own in world.boxes(tool)):
            return False
        others = [one for other in TOOLS if other != tool for one in world.boxes(other)]
        return not any(overlap(one, place) for one in others for place in inside.values())

    return done


def plate_on_rack(world: World) -> bool:
    """The plate stands between the wires: it touches the rack and nothing else, and neither moves."""
    if world.moving(("plate", "rack")):
        return False
    touched = world.touched_by("plate")
    if not touched or not all(geom in world.geoms["rack"] for geom in touched):
        return False
    (place, rotation), (stand, turned) = world.pose("plate"), world.pose("rack")
    x, y, _ = turned.T @ (place - stand)
    (left, right), (front, back) = WIRES
    stands = abs(rotation[2, 2]) < UPRIGHT and place[2] > stand[2] + ABOVE_RACK
    return bool(stands and left < x < right and front < y < back)


def _drawer(name: str, done: Callable[[World], bool]) -> Task:
    return Task(INSTRUCTIONS[name], props.DRAWER, NAMES[name], layouts.drawer, done, settles=False)


def _dining(name: str, done: Callable[[World], bool]) -> Task:
    return Task(INSTRUCTIONS[name], props.DINING, NAMES[name], layouts.dining, done)


def _tool(name: str, tool: str, compartment: str) -> Task:
    done = tool_in(tool, compartment)
    return Task(INSTRUCTIONS[name], props.TOOLS, NAMES[name], layouts.tools, done, apart=True)


CLAMP: dict[str, Task] = {
    "drawer-open": _drawer("drawer-open", drawer_open(2)),
    "mug-on-plate": _dining("mug-on-plate", mug_on_plate),
    "pen-in-container": _dining("pen-in-container", pen_in_container),
    "screwdriver-in-caddy": _tool("screwdriver-in-caddy", "screwdriver", "right"),
    "can-opener-in-caddy": _tool("can-opener-in-caddy", "can_opener", "left"),
    "plate-on-rack": Task(
        INSTRUCTIONS["plate-on-rack"],
        props.RACK,
        NAMES["plate-on-rack"],
        layouts.rack,
        plate_on_rack,
        apart=True,
    ),
}
FURTHER: dict[str, Task] = {
    "screwdriver-in-left-compartment": _tool("screwdriver-in-left-compartment", "screwdriver", "left"),
    "can-opener-in-right-compartment": _tool("can-opener-in-right-compartment", "can_opener", "right"),
    "banana-in-bowl": _dining("banana-in-bowl", banana_in_bowl),
    "pen-on-plate": _dining("pen-on-plate", pen_on_plate),
    "bowl-on-rack": Task(
        INSTRUCTIONS["bowl-on-rack"],
        props.BOWL_RACK,
        NAMES["bowl-on-rack"],
        layouts.rack_straight,
        bowl_on_rack,
        apart=True,
    ),
    "middle-drawer-open": _drawer("middle-drawer-open", drawer_open(1)),
    "top-drawer-open": _drawer("top-drawer-open", drawer_open(0)),
    "bottom-drawer-close": Task(
        INSTRUCTIONS["bottom-drawer-close"],
        props.DRAWER,
        NAMES["bottom-drawer-close"],
        layouts.drawer,
        drawer_closed,
        drawers=layouts.drawers,
    ),
}
TASKS: dict[str, Task] = {**CLAMP, **FURTHER}
MOST_OBJECTS = max(len(task.names) for task in TASKS.values())
