"""Which moments of a demonstration are keyframes, and what action leads from one to the next."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from envs.rotations import canonical, inverse, multiply

STILL = 0.1
"""rad/s: an arm all of whose joints are slower stands still."""
REFRACTORY = 4
"""Moments after a stop in which there is no other."""
APART = 5
"""Of two keyframes that are at most so many moments apart the earlier is dropped."""


def find_keyframes(gripper_open: np.ndarray, joint_velocities: np.ndarray) -> list[int]:
    """Numbers of the keyframes among T moments, rising; the last moment always is one, the first (0) never.

    gripper_open (T,): 1 or 0. joint_velocities (T, 7) rad/s. The rule is the one that C2F-ARM introduced and PerAct and
    Lift3D use, with Lift3D's distance: a moment is a keyframe where the gripper has just opened or closed, where the
    arm stands still, and at the end. The arm stands still at a moment i if no joint is faster than `STILL`, the
    gripper has been the same from i - 2 to i + 1, i is not the moment before the last, and the last stop is more than
    `REFRACTORY` moments ago.
    """
    opened = np.asarray(gripper_open) > 0.5
    slow = (np.abs(np.asarray(joint_velocities)) <= STILL).all(axis=1)
    last = len(opened) - 1
    found, wait = [], 0
    for i in range(len(opened)):
        # as published: before the first moments "the moments before" are the last ones
        around = {bool(opened[one]) for one in (i - 2, i - 1, i, min(i + 1, last))} if last > 1 else set()
        same = i < last - 1 and len(around) == 1
        stopped = bool(wait <= 0 and slow[i] and same)
        wait = REFRACTORY if stopped else wait - 1
        if i and (opened[i] != opened[i - 1] or stopped or i == last):
            found.append(i)
    return [one for one, following in pairwise(found) if following - one > APART] + found[-1:]


def action_between(
    place: np.ndarray, rotation: np.ndarray, next_place: np.ndarray, next_rotation: np.ndarray, opens: bool
) -> np.ndarray:
    """The action (8,) float32 from one pose of the fingertips to the next: the move, metres; the turn x, y, z, w that
    stands before the rotation (q_next = dq * q), with w >= 0; and the gripper, 1 open.

    place, next_place (3,), rotation, next_rotation unit quaternions x, y, z, w (4,), all in one frame.
    """
    turn = canonical(multiply(next_rotation, inverse(rotation)))
    return np.array([*(next_place - place), *(turn / np.linalg.norm(turn)), float(opens)], np.float32)
