"""A Franka Panda with its gripper as MJCF: links of capsules at the frames that Franka publishes.

Link frames are the modified Denavit-Hartenberg parameters of Franka's documentation (Franka Control Interface, "Robot
and interface specifications"), and so are the limits of joints and torques. Shapes, masses and gains are ours; gravity
is compensated, as the robot's own controller does. No mesh is used.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from envs.rlbench_port.places import WRIST_FOV


@dataclass(frozen=True)
class Link:
    """a, d, alpha: from the frame before it, metres and radians. low, high: radians. torque: N m at most. kp: N m/rad.

    capsules: from, to (metres in the link's frame) and radius.
    """

    a: float
    d: float
    alpha: float
    low: float
    high: float
    torque: float
    kp: float
    mass: float
    capsules: tuple[tuple[tuple[float, float, float], tuple[float, float, float], float], ...]


HALF = math.pi / 2
LINKS = (
    Link(
        0.0,
        0.333,
        0.0,
        -2.8973,
        2.8973,
        87,
        4500,
        3.0,
        (((0, 0, -0.19), (0, 0, -0.05), 0.062), ((0, -0.03, 0), (0, 0.03, 0), 0.062)),
    ),
    Link(
        0.0,
        0.0,
        -HALF,
        -1.7628,
        1.7628,
        87,
        4500,
        3.0,
        (((0, 0, -0.04), (0, 0, 0.04), 0.062), ((0, -0.07, 0), (0, -0.17, 0), 0.058)),
    ),
    Link(
        0.0,
        0.316,
        HALF,
        -2.8973,
        2.8973,
        87,
        3500,
        2.5,
        (((0, 0, -0.14), (0, 0, -0.07), 0.058), ((0.02, 0, -0.05), (0.0825, 0, 0), 0.055)),
    ),
    Link(
        0.0825,
        0.0,
        HALF,
        -3.0718,
        -0.0698,
        87,
        3500,
        2.5,
        (((0, 0, -0.04), (0, 0, 0.04), 0.055), ((-0.06, 0.04, 0), (-0.0825, 0.12, 0), 0.05)),
    ),
    Link(
        -0.0825,
        0.384,
        -HALF,
        -2.8973,
        2.8973,
        12,
        2000,
        2.0,
        (((0, 0, -0.25), (0, 0, -0.18), 0.05), ((0, 0.06, -0.16), (0, 0.07, -0.03), 0.032)),
    ),
    Link(
        0.0,
        0.0,
        HALF,
        -0.0175,
        3.7525,
        12,
        2000,
        1.5,
        (((0, 0, -0.05), (0, 0, 0.04), 0.045), ((0.03, 0, 0), (0.085, 0.01, 0), 0.042)),
    ),
    Link(0.088, 0.0, HALF, -2.8973, 2.8973, 12, 2000, 0.7, (((0, 0, -0.02), (0, 0, 0.075), 0.042),)),
)

JOINTS = len(LINKS)
LOW = np.array([link.low for link in LINKS])
HIGH = np.array([link.high for link in LINKS])
HOME = np.array([0.0, math.radians(10), 0.0, math.radians(-50), 0.0, math.radians(70), math.radians(45)])
"""Where an episode begins, radians: the posture of RLBench's, in which the hand points down, tilted by 10 degrees."""

FLANGE = 0.107
"""Of the last link's frame to the flange, along z, metres."""
TIP = 0.1034
"""Of the flange to the point between the fingertips, along z, metres: the pose that actions move. Its frame is the
hand's after half a turn about z: at home its quaternion is near (0, 1, 0, 0.09), whose sign is plain, as w is not 0."""
OPEN = 0.04
"""Of each finger, metres from the middle."""
PINCH = 30.0
"""N, of each finger at most."""


def _capsules(link: Link, collide: str) -> str:
    share = link.mass / len(link.capsules)
    text = ""
    for start, end, radius in link.capsules:
        ends = " ".join(f"{value:g}" for value in (*start, *end))
        text += f'<geom class="arm" type="capsule" fromto="{ends}" size="{radius:g}" mass="{share:g}" {collide}/>'
    return text


def arm_bodies() -> str:
    """The tree of bodies, with the sites `tip` and the camera `wrist`; its joints are `joint1` to `joint7`, `finger1`
    and `finger2`."""
    text = (
        '<body name="base"><geom class="arm" type="capsule" fromto="-0.08 0 0.06 0 0 0.06" size="0.06" contype="0" '
        'conaffinity="0"/><geom class="arm" type="capsule" fromto="0 0 0.05 0 0 0.14" size="0.064" contype="0" '
        'conaffinity="0"/>'
    )
    for number, link in enumerate(LINKS, 1):
        y, z = -math.sin(link.alpha) * link.d, math.cos(link.alpha) * link.d
        near_base = 'contype="0" conaffinity="0"' if number == 1 else ""
        text += (
            f'<body name="link{number}" pos="{link.a:g} {y:.10g} {z:.10g}" euler="{link.alpha:.10g} 0 0" gravcomp="1">'
            f'<joint name="joint{number}" axis="0 0 1" range="{link.low} {link.high}" armature="0.1" damping="1"/>'
            f"{_capsules(link, near_base)}"
        )
    text += (
        f'<body name="hand" pos="0 0 {FLANGE}" euler="0 0 {-math.pi / 4:.10g}" gravcomp="1">'
        '<geom class="arm" type="box" pos="0 0 0.033" size="0.018 0.1 0.033" mass="0.6" rgba="0.9 0.9 0.92 1"/>'
        f'<site name="tip" pos="0 0 {TIP}" euler="0 0 {math.pi:.10g}" size="0.002" group="4"/>'
        f'<camera name="wrist" pos="0.041 0 0.006" xyaxes="0 1 0 1 0 0" fovy="{WRIST_FOV:g}"/>'
    )
    for number, side in ((1, 1), (2, -1)):
        text += (
            f'<body name="finger{number}" pos="0 0 0.0584" gravcomp="1">'
            f'<joint name="finger{number}" type="slide" axis="0 {side} 0" range="0 {OPEN}" armature="0.05" '
            'damping="5"/>'
            f'<geom class="pad" type="box" pos="0 {side * 0.007:g} 0.0265" size="0.009 0.0065 0.0265" mass="0.05"/>'
            "</body>"
        )
    return text + "</body>" * (JOINTS + 2)


def arm_defaults() -> str:
    """Default classes. Bit 1 is the arm, which touches what has bit 2, and never itself."""
    return (
        '<default class="arm"><geom contype="1" conaffinity="2" rgba="0.93 0.93 0.93 1" friction="0.5" group="0"/>'
        '</default><default class="pad"><geom contype="1" conaffinity="2" rgba="0.25 0.25 0.27 1" friction="1.5" '
        'condim="4" group="0"/></default>'
    )


def arm_actuators() -> str:
    """Seven positions, radians, then two of the fingers, metres."""
    text = ""
    for number, link in enumerate(LINKS, 1):
        text += (
            f'<position joint="joint{number}" kp="{link.kp:g}" kv="{link.kp / 10:g}" '
            f'ctrlrange="{link.low} {link.high}" forcerange="{-link.torque:g} {link.torque:g}"/>'
        )
    for number in (1, 2):
        text += (
            f'<position joint="finger{number}" kp="1500" kv="60" ctrlrange="0 {OPEN}" forcerange="-{PINCH:g} '
            f'{PINCH:g}"/>'
        )
    return text


FINGERS_TOGETHER = '<joint joint1="finger1" joint2="finger2" polycoef="0 1 0 0 0" solref="0.005 1"/>'
"""An equality: the fingers move alike."""
