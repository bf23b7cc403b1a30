"""One colour for each method, the same in every chart and image, whichever methods stand beside it."""

from __future__ import annotations

import hashlib

COLOURS = (
    "#0072b2",
    "#d55e00",
    "#009e73",
    "#cc79a7",
    "#e69f00",
    "#56b4e9",
    "#7a6ad8",
    "#8c510a",
    "#b2182b",
    "#4d9221",
    "#c51b7d",
    "#01665e",
)
"""Okabe and Ito's without yellow and black, which vanish on a white or a black page, then five further ones. Twelve
colours cannot all be told apart: charts differ by dashes and marks as well."""
FIXED = {
    "clar": 0,
    "dp3": 1,
    "state": 2,
    "proprio-only": 3,
    "lift3d": 4,
    "pointnet": 5,
    "pointnet2": 6,
    "pointnext": 7,
    "clamp": 8,
    "r3m": 9,
    "vc1": 10,
    "clip": 11,
    "spa": 4,
    "vggt": 6,
    "random-features": 7,
}


def colour_of(method: str) -> str:
    """Of a method as records name it: options and sizes (`clar+norm=workspace`, `clar-small`) have their method's."""
    name = method.partition("+")[0]
    family = max((known for known in FIXED if name == known or name.startswith(f"{known}-")), key=len, default=None)
    if family is not None:
        return COLOURS[FIXED[family]]
    return COLOURS[int(hashlib.sha256(name.encode()).hexdigest(), 16) % len(COLOURS)]
