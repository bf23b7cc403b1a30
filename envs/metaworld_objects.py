"""The objects whose places MetaWorld's `ground_truth` has, by name, in our own words as in `envs.metaworld_tasks`.

MetaWorld observes at most two objects of a task (`_get_pos_objects` of its environments): hammer, stick-pull and
stick-push have two, all others one.
"""

from __future__ import annotations

OBJECTS: dict[str, tuple[str, ...]] = {
    "assembly": ("ring",),
    "basketball": ("basketball",),
    "bin-picking": ("cube",),
    "box-close": ("lid",),
    "button-press": ("button",),
    "button-press-topdown": ("button",),
    "button-press-topdown-wall": ("button",),
    "button-press-wall": ("button",),
    "coffee-button": ("button",),
    "coffee-pull": ("mug",),
    "coffee-push": ("mug",),
    "dial-turn": ("dial",),
    "disassemble": ("ring",),
    "door-close": ("door handle",),
    "door-lock": ("lock",),
    "door-open": ("door handle",),
    "door-unlock": ("lock",),
    "drawer-close": ("drawer handle",),
    "drawer-open": ("drawer handle",),
    "faucet-close": ("faucet",),
    "faucet-open": ("faucet",),
    "hammer": ("hammer", "nail"),
    "hand-insert": ("block",),
    "handle-press": ("handle",),
    "handle-press-side": ("handle",),
    "handle-pull": ("handle",),
    "handle-pull-side": ("handle",),
    "lever-pull": ("lever",),
    "peg-insert-side": ("peg",),
    "peg-unplug-side": ("peg",),
    "pick-out-of-hole": ("puck",),
    "pick-place": ("puck",),
    "pick-place-wall": ("puck",),
    "plate-slide": ("plate",),
    "plate-slide-back": ("plate",),
    "plate-slide-back-side": ("plate",),
    "plate-slide-side": ("plate",),
    "push": ("puck",),
    "push-back": ("puck",),
    "push-wall": ("puck",),
    "reach": ("puck",),
    "reach-wall": ("puck",),
    "shelf-place": ("cube",),
    "soccer": ("ball",),
    "stick-pull": ("stick", "thermos"),
    "stick-push": ("stick", "thermos"),
    "sweep": ("cube",),
    "sweep-into": ("cube",),
    "window-close": ("window handle",),
    "window-open": ("window handle",),
}

FIRST, STRIDE = 4, 7
"""In `ground_truth`: hand 3 and opening 1, then each object's place 3 and rotation 4."""


def objects(task: str) -> tuple[tuple[str, int], ...]:
    """As `envs.base.Env` describes it."""
    return tuple((name, FIRST + STRIDE * number) for number, name in enumerate(OBJECTS[task]))
