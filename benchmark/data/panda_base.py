"""Where a Franka Panda stands, from what it did.

RLBench stores poses in its world's frame and says nowhere where the robot is mounted. Its joint angles and its
gripper's poses do: forward kinematics gives the flange in the base's frame, and what is left is one offset.
"""

from __future__ import annotations

import numpy as np

from envs.errors import UserError

LINKS = ((0, 0.333, 0), (0, 0, -90), (0, 0.316, 90), (0.0825, 0, 90), (-0.0825, 0.384, -90), (0, 0, 90), (0.088, 0, 90))
"""a (m), d (m), alpha (degrees) of each joint, modified Denavit-Hartenberg (Franka's documentation)."""
FLANGE, HAND = 0.107, 0.1034
"""Metres from the last joint to the flange, and from there to the point between the hand's fingertips."""
TOLERANCE = 0.01


class NotAPanda(UserError, ValueError):
    """Joint angles and gripper poses that no fixed Panda could have."""


def flange(joints: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(7,) radians to the flange's position (3,) and axis (3,) in the base's frame."""
    pose = np.eye(4)
    for (a, d, alpha), angle in zip(LINKS, joints, strict=True):
        ca, sa = np.cos(np.radians(alpha)), np.sin(np.radians(alpha))
        c, s = np.cos(angle), np.sin(angle)
        pose = pose @ [[c, -s, 0, a], [s * ca, c * ca, -sa, -d * sa], [s * sa, c * sa, ca, d * ca], [0, 0, 0, 1]]
    return pose[:3, 3] + FLANGE * pose[:3, 2], pose[:3, 2]


def find_base(joints: np.ndarray, grippers: np.ndarray) -> np.ndarray:
    """The base (3,) in the world, metres, of a robot that is mounted upright along the world's axes.

    joints (T, 7) radians, grippers (T, 3) metres in the world. The gripper's distance from the flange is fitted too,
    kept near the hand's where the motion does not tell. Raises `NotAPanda` if nothing fits to a centimetre.
    """
    positions, axes = (np.stack(found) for found in zip(*map(flange, joints), strict=True))
    # grippers - positions = base + length * axis, with one weak equation for the length
    left = np.concatenate([np.tile(np.eye(3), (len(joints), 1)), axes.reshape(-1, 1)], axis=1)
    left = np.concatenate([left, [[0, 0, 0, 1e-2 * len(joints) ** 0.5]]])
    right = np.append((grippers - positions).ravel(), 1e-2 * len(joints) ** 0.5 * HAND)
    solution = np.linalg.lstsq(left, right, rcond=None)[0]
    error = np.abs(left[:-1] @ solution - right[:-1]).max()
    if error > TOLERANCE:
        raise NotAPanda(
            f"no upright Panda has these joint angles and gripper positions (off by {100 * error:.1f} cm); give its "
            "base in the world as DATA.base=[x,y,z]"
        )
    return solution[:3]
