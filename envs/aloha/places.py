"""Numbers of the scene and of the ALOHA 2 robot in it, as aloha_sim has them. Metres, seconds, radians, world frame:
the table's middle is the origin, x to the right, y away from the person in front of it, z up."""

from __future__ import annotations

import numpy as np

STEP = 0.02
"""Seconds of one action: 50 Hz (CLAMP; aloha_sim's default)."""
SUBSTEPS = 10
"""Of the physics, 2 ms each, in one step."""
TABLE_OFFSET = 0.011
"""aloha_sim lifts table, frame and the worm's-eye camera by so much."""
TABLE_TOP = 0.0299
TABLE_HALF = (0.61, 0.381)
"""Of the table's top, along x and y."""
LOOKS_AT = np.array([0.0, 0.0, TABLE_TOP])
CAMERA_HEIGHT = 0.70
"""Over the table's top (CLAMP, section IV)."""
CAMERA_FOVY = 60.0
"""Degrees, vertical. CLAMP does not say it; this is our choice."""
CORNERS = {"front-left": (-1, -1), "back-right": (1, 1)}
"""The paper's two cameras stand over opposite corners of the table and look at its middle."""
VIRTUAL_OVERHEAD = (0.0, 0.0, TABLE_TOP + 1.0)
WRIST_EYE, WRIST_TARGET = (-0.15, 0.0, 0.07), (0.0, 0.0, 0.0)
"""Of the virtual cameras on the hands, in the frame of the tool: behind the finger tips, on the wrist camera's side."""
OTHER_CAMERAS = {"overhead": "overhead_cam", "wrist-left": "wrist_cam_left", "wrist-right": "wrist_cam_right"}
"""Ours by name -> aloha_sim's."""
WRIST_CAMERA = (-0.011, -0.0814748, -0.0095955)
"""Where aloha_sim's tasks put the wrists' cameras, which is not quite where its model has them."""
CROP_LOW = (-0.61, -0.381, -0.02)
CROP_HIGH = (0.61, 0.381, 0.70)
"""The space over the table, its top included. The paper's box is unknown."""

ARMS = ("left", "right")
BASES = {"left": np.array([-0.469, -0.019, 0.02]), "right": np.array([0.469, -0.019, 0.02])}
"""The right arm is turned by 180 degrees about z."""
JOINTS = ("waist", "shoulder", "elbow", "forearm_roll", "wrist_angle", "wrist_rotate")
ARM_QPOS = {"left": slice(0, 6), "right": slice(8, 14)}
FINGER_QPOS = {"left": slice(6, 8), "right": slice(14, 16)}
ARM_CTRL = {"left": slice(0, 6), "right": slice(7, 13)}
ROBOT_QPOS = 16
HOME = np.array([0.0, -0.96, 1.16, 0.0, -0.3, 0.0])
HOME_QPOS = np.array([0.0, -0.959, 1.182, 0.0, -0.274, 0.0, 0.0082, 0.0082])
"""Of one arm with its two fingers, at the beginning of an episode."""
HOME_CTRL = np.array([*HOME, 0.002])
LOW = np.array([-np.pi / 2, -1.85005, -1.76278, -3.14158, -1.8675, -3.14158])
HIGH = np.array([np.pi / 2, 1.25664, 1.6057, 3.14158, 2.23402, 3.14158])
"""Of joint targets; the waist's joint itself goes twice as far."""

GRIPPER_CLOSED, GRIPPER_OPEN = -0.06135, 1.5155
"""An action's gripper entries are angles of the follower's servo, radians."""
CTRL_CLOSED, CTRL_OPEN = 0.002, 0.037
"""What they command: the fingers' distance from the middle, metres."""
QPOS_CLOSED, QPOS_OPEN = 0.0078, 0.037
"""What the fingers then reach. Proprio maps this range, not the commanded one, to the servo's angle."""


def gripper_to_ctrl(angle: float) -> float:
    """Metres that a finger is commanded to, of the servo's angle in radians."""
    share = (angle - GRIPPER_CLOSED) / (GRIPPER_OPEN - GRIPPER_CLOSED)
    return CTRL_CLOSED + share * (CTRL_OPEN - CTRL_CLOSED)


def ctrl_to_gripper(metres: float) -> float:
    """The servo's angle of an action that commands the fingers there."""
    share = (metres - CTRL_CLOSED) / (CTRL_OPEN - CTRL_CLOSED)
    return GRIPPER_CLOSED + share * (GRIPPER_OPEN - GRIPPER_CLOSED)


def qpos_to_gripper(metres: float) -> float:
    """The servo's angle that proprio reports of a finger there."""
    share = (metres - QPOS_CLOSED) / (QPOS_OPEN - QPOS_CLOSED)
    return GRIPPER_CLOSED + share * (GRIPPER_OPEN - GRIPPER_CLOSED)
