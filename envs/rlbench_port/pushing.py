"""The expert of lids that stand open: it pushes them from behind, with a closed gripper that points down, until gravity
goes on.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from envs.rlbench_port.layout import Frame, Keyframe
from envs.rotations import tool

FINGER = 0.018
"""From the middle of the closed fingers to what they push, metres."""
BEHIND, ABOVE = 0.07, 0.08
"""Where it begins behind the lid, and how far it rises at the end, metres."""


def push_over(
    frame: Frame, hinge: tuple[float, float, float], along: float, opening: float, angles: Sequence[float], side: int
) -> tuple[Keyframe, ...]:
    """hinge: its place in the object's frame; along: metres from it, where the lid is pushed; opening, angles: where
    the lid stands, and to where it is pushed one after another, radians. side: 1 or -1, which differ by half a turn of
    the hand; that of a task is the one that the arm reaches in more layouts.
    """

    def at(angle: float, behind: float, above: float = 0.0) -> np.ndarray:
        """Behind the lid at this angle, along its normal."""
        return frame.point(
            hinge[0] + along * math.cos(angle) - behind * math.sin(angle),
            hinge[1],
            hinge[2] + along * math.sin(angle) + behind * math.cos(angle) + above,
        )

    places = [at(opening, BEHIND), *(at(angle, FINGER) for angle in angles), at(angles[-1], FINGER, ABOVE)]
    down = np.array([0.0, 0.0, -1.0])
    turned = tool(down, side * frame.direction(0, 1, 0))
    return tuple(Keyframe(place, turned, opens=False) for place in places)
