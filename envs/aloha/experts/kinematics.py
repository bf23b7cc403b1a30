"""One ViperX arm, forwards and backwards in closed form: its wrist is spherical, shoulder and elbow lie in a plane.

The numbers are those of aloha_sim's `aloha_pbr.xml`. Tool frame: x along the approach, y along which the fingers close,
z to the wrist camera's side; its origin lies between the fingers, 8 mm inside their tips.
"""

from __future__ import annotations

import math

import numpy as np

from envs.aloha.experts.transforms import about_x, about_y, about_z, inverse, on_the_way, transform
from envs.aloha.places import BASES, HIGH, HOME, LOW

SHOULDER = 0.12705
"""Metres from the base up to the shoulder's axis."""
ELBOW = np.array([0.05955, 0.0, 0.3])
"""From the shoulder to the elbow, in the upper arm's frame."""
UPPER, FOREARM = float(np.hypot(ELBOW[0], ELBOW[2])), 0.3
ELBOW_ANGLE = math.atan2(ELBOW[2], ELBOW[0])
"""The upper arm's line stands so much above its frame's x axis."""
HAND = 0.219744
"""From the wrist's centre to the gripper's site."""
TOOL = transform(None, (-0.012, 0.0, -0.0035))
"""In the site's frame. The finger tips end 4 mm before the site and are not centred on it."""
_TOOL_BACK = inverse(TOOL)
MARGIN = 0.01
"""Radians that solutions keep from the joints' limits."""
WEIGHTS = np.array([1, 1, 1, 0.6, 0.6, 0.5])
"""Of the joints' moves, where one of several solutions is chosen."""


def forward(arm: str, joints: np.ndarray) -> np.ndarray:
    """world_from_tool (4, 4) of joints (6,), radians."""
    turned = about_z(joints[0]) if arm == "left" else about_z(joints[0] + math.pi)
    upper = turned @ about_y(joints[1])
    lower = upper @ about_y(joints[2])
    wrist = BASES[arm] + [0, 0, SHOULDER] + upper @ ELBOW + lower[:, 0] * FOREARM
    hand = lower @ about_x(joints[3]) @ about_y(joints[4]) @ about_x(joints[5])
    return transform(hand, wrist + hand[:, 0] * HAND) @ TOOL


def solutions(arm: str, target: np.ndarray, margin: float = MARGIN, stretch: float = 0.0) -> list[np.ndarray]:
    """All joints (6,) inside the limits that bring the tool there; at most eight.

    target: world_from_tool (4, 4). margin: radians kept from the limits. stretch: how far out of reach, as a cosine of
    the elbow, is still taken for the stretched arm. Waist forwards or backwards, elbow up or down, wrist bent one way
    or the other.
    """
    site = target @ _TOOL_BACK
    hand = site[:3, :3]
    wrist = site[:3, 3] - hand[:, 0] * HAND - BASES[arm] - [0, 0, SHOULDER]
    if arm == "right":
        half_turn = np.diag([-1.0, -1.0, 1.0])
        hand, wrist = half_turn @ hand, half_turn @ wrist
    low, high = LOW + margin, HIGH - margin
    x, y, z = wrist
    distance = math.hypot(x, y)
    bend = (distance**2 + z**2 - UPPER**2 - FOREARM**2) / (2 * UPPER * FOREARM)
    if abs(bend) > 1 + stretch:
        return []
    bend = min(1.0, max(-1.0, bend))
    found = []
    for waist, along in ((math.atan2(y, x), distance), (math.atan2(-y, -x), -distance)):
        if not low[0] <= waist <= high[0]:
            continue
        for sign in (-1, 1):
            inner = sign * math.acos(bend)
            first = math.atan2(z, along) - math.atan2(FOREARM * math.sin(inner), UPPER + FOREARM * math.cos(inner))
            shoulder = _wrapped(ELBOW_ANGLE - first)
            elbow = _wrapped(-(first + inner) - (ELBOW_ANGLE - first))
            if not (low[1] <= shoulder <= high[1] and low[2] <= elbow <= high[2]):
                continue
            for bent in _wrist(_forearm(waist, shoulder + elbow).T @ hand):
                joints = np.array([waist, shoulder, elbow, *bent])
                if ((joints >= low) & (joints <= high)).all():
                    found.append(joints)
    return found


def _wrapped(angle: float) -> float:
    return math.atan2(math.sin(angle), math.cos(angle))


def _forearm(waist: float, pitch: float) -> np.ndarray:
    """about_z(waist) @ about_y(pitch), written out: this is called some ten thousand times an episode."""
    c, s, w, v = math.cos(pitch), math.sin(pitch), math.cos(waist), math.sin(waist)
    return np.array([[w * c, -v, w * s], [v * c, w, v * s], [-s, 0.0, c]])


def _wrist(turn: np.ndarray) -> list[tuple[float, float, float]]:
    """Both ways of making a rotation of turns about x, y and x."""
    angle = math.acos(min(1.0, max(-1.0, turn[0, 0])))
    if abs(math.sin(angle)) < 1e-6:
        return [(0.0, angle, math.atan2(turn[2, 1], turn[1, 1]))]
    return [
        (math.atan2(s * turn[1, 0], -s * turn[2, 0]), s * angle, math.atan2(s * turn[0, 1], s * turn[0, 2]))
        for s in (1.0, -1.0)
    ]


def solve(arm: str, target: np.ndarray, near: np.ndarray = HOME) -> np.ndarray | None:
    """The solution whose joints are nearest to `near`, summed with `WEIGHTS`; None where there is none."""
    found = solutions(arm, target)
    return min(found, key=lambda joints: float(np.abs((joints - near) * WEIGHTS).sum())) if found else None


def follow(
    arm: str, target: np.ndarray, last: np.ndarray, margin: float = MARGIN, stretch: float = 0.0
) -> np.ndarray | None:
    """The solution whose largest change of a joint is least, for the next point of a way."""
    found = solutions(arm, target, margin, stretch)
    return min(found, key=lambda joints: float(np.abs(joints - last).max())) if found else None


def straight(arm: str, start: np.ndarray, first: np.ndarray, second: np.ndarray, points: int) -> np.ndarray | None:
    """The joints at the end of a straight way, or None where the arm cannot follow it. start: the joints at `first`."""
    joints = start
    for number in range(1, points + 1):
        found = follow(arm, on_the_way(first, second, number / points), joints)
        if found is None or np.abs(found - joints).max() > 1.0:
            return None
        joints = found
    return joints
