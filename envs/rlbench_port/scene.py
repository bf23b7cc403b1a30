"""A whole scene as MJCF: table, lights, cameras, the arm and one task's object; and one model in another's place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import mujoco
import numpy as np

from envs.camera import Orbit
from envs.rlbench_port import arm
from envs.rlbench_port.layout import Layout
from envs.rlbench_port.places import BASE, CAMERAS, TABLE, TIMESTEP

Orbits = Mapping[str, Orbit | None]


def build(layout: Layout, orbits: Orbits) -> Any:
    """A new `mujoco.MjModel`. Layouts of one task differ in numbers only, so their models have equal shapes.

    orbits: by the names of cameras that are moved around the table.
    """
    return mujoco.MjModel.from_xml_string(xml(layout, orbits))


def become(model: Any, other: Any) -> None:
    """Give a model the numbers of another of equal shape, in place: whatever draws it or points to it stays valid."""
    for name in dir(other):
        if name.startswith("_"):
            continue
        value = getattr(other, name)
        if isinstance(value, np.ndarray):
            getattr(model, name)[...] = value


def xml(layout: Layout, orbits: Orbits) -> str:
    """As MJCF. The statistic, by which near and far planes are scaled, is fixed: all episodes are drawn alike."""
    x, y, half_x, half_y = TABLE
    return f"""
<mujoco model="rlbench4-port">
  <compiler angle="radian" autolimits="true"/>
  <option timestep="{TIMESTEP}" integrator="implicitfast" cone="elliptic" impratio="10">
    <flag autoreset="disable"/>
  </option>
  <statistic center="0.4 0 0.3" extent="1.5" meansize="0.05"/>
  <visual>
    <map znear="0.01" zfar="10"/>
    <headlight ambient="0.35 0.35 0.35" diffuse="0.25 0.25 0.25" specular="0 0 0"/>
    <quality shadowsize="2048"/>
  </visual>
  <default>
    {arm.arm_defaults()}
    <default class="object"><geom contype="2" conaffinity="3" friction="0.6" group="1"/></default>
  </default>
  <asset>
    <texture name="sky" type="skybox" builtin="gradient" rgb1="0.75 0.8 0.86" rgb2="0.55 0.58 0.62" width="64"
             height="64"/>
  </asset>
  <worldbody>
    <light pos="0.9 -0.6 2.2" dir="-0.3 0.4 -1" diffuse="0.55 0.55 0.55" specular="0.1 0.1 0.1" castshadow="true"/>
    <light pos="0.2 1.0 2.2" dir="0.2 -0.6 -1" diffuse="0.25 0.25 0.25" specular="0 0 0" castshadow="false"/>
    <geom name="table" class="object" type="box" pos="{x} {y} -0.02" size="{half_x} {half_y} 0.02"
          rgba="0.68 0.55 0.42 1"/>
    <geom name="floor" class="object" type="plane" pos="0 0 {-BASE[2]}" size="4 4 0.1" rgba="0.5 0.48 0.46 1"/>
    {_cameras(orbits)}
    {arm.arm_bodies()}
    {layout.bodies}
  </worldbody>
  <contact>{"".join(f'<exclude body1="{a}" body2="{b}"/>' for a, b in layout.apart)}</contact>
  <equality>{arm.FINGERS_TOGETHER}</equality>
  <actuator>{arm.arm_actuators()}</actuator>
</mujoco>"""


def _cameras(orbits: Orbits) -> str:
    text = ""
    for name, pose in CAMERAS.items():
        place, turned = pose.placed(orbits.get(name))
        axes = " ".join(f"{value:.6g}" for value in (*turned[:, 0], *turned[:, 1]))
        text += (
            f'<camera name="{name}" pos="{" ".join(f"{value:.6g}" for value in place)}" xyaxes="{axes}" '
            f'fovy="{pose.fov:g}"/>'
        )
    return text
