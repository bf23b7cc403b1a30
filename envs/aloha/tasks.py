"""CLAMP's six tasks: objects, beginnings, instructions, and when they are done.

The rules are aloha_sim's at the pinned commit, but for plate-on-rack, which is not in it: that one is ours.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from envs.aloha import layouts, props
from envs.aloha.boxes import box, overlap
from envs.aloha.layouts import Layout
from envs.aloha.props import Prop
from envs.aloha.world import World

OPEN = 0.05
"""Metres that the bottom drawer has to be open."""
IN_CUP = (box((0, 0, 0.016), (0.028, 0.028, 0.015)), box((0, 0, 0.15), (0.06, 0.06, 0.01)))
"""In the cup's frame: near its bottom, and above it where a standing pen's other end is. A pen has to reach both."""
COMPARTMENTS = {
    "left": box((-0.032, 0, -0.01), (0.015, 0.047, 0.025)),
    "right": box((0.032, 0, -0.01), (0.015, 0.047, 0.025)),
}
"""In the caddy's frame."""
TOOLS = ("screwdriver", "magnifier", "can_opener", "thumb_drive", "scissors")
UPRIGHT = 0.7
"""The cosine between a plate's axis and the vertical that counts as standing: more than 45 degrees."""
ABOVE_RACK = 0.02
WIRES = ((-0.12, 0.12), (-0.13, 0.10))
"""Of the rack's wires, x and y in its frame, metres."""


@dataclass(frozen=True)
class Task:
    """apart: a layout in which objects touch each other is drawn again. settles: they come to rest before it begins.

    names: of the objects in the order of `ground_truth`: what is moved, where to, the others.
    """

    instruction: str
    props: Mapping[str, Prop]
    names: tuple[str, ...]
    layout: Callable[[np.random.Generator], Layout]
    done: Callable[[World], bool]
    apart: bool = False
    settles: bool = True


def drawer_open(world: World) -> bool:
    return bool(world.slides()[2] > OPEN) and not world.moving(("box",))


def mug_on_plate(world: World) -> bool:
    """They touch and neither moves; a hand may still hold the mug."""
    return not world.moving(("mug", "plate")) and any(geom in world.geoms["plate"] for geom in world.touched_by("mug"))


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


TASKS: dict[str, Task] = {
    "drawer-open": Task(
        "open the bottom drawer of the jewelry box",
        props.DRAWER,
        ("box",),
        layouts.drawer,
        drawer_open,
        settles=False,
    ),
    "mug-on-plate": Task(
        "put the red mug on the plate",
        props.DINING,
        ("mug", "plate", "pen", "container", "banana", "bowl"),
        layouts.dining,
        mug_on_plate,
    ),
    "pen-in-container": Task(
        "put the pen in the white cup",
        props.DINING,
        ("pen", "container", "mug", "plate", "banana", "bowl"),
        layouts.dining,
        pen_in_container,
    ),
    "screwdriver-in-caddy": Task(
        "place the screwdriver in the right compartment of the caddy",
        props.TOOLS,
        ("screwdriver", "caddy", "magnifier", "can_opener", "thumb_drive", "scissors"),
        layouts.tools,
        tool_in("screwdriver", "right"),
        apart=True,
    ),
    "can-opener-in-caddy": Task(
        "place the can opener in the left compartment of the caddy",
        props.TOOLS,
        ("can_opener", "caddy", "screwdriver", "magnifier", "thumb_drive", "scissors"),
        layouts.tools,
        tool_in("can_opener", "left"),
        apart=True,
    ),
    "plate-on-rack": Task(
        "put the plate on the rack",
        props.RACK,
        ("plate", "rack"),
        layouts.rack,
        plate_on_rack,
        apart=True,
    ),
}
MOST_OBJECTS = max(len(task.names) for task in TASKS.values())
