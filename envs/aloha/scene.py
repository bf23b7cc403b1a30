"""One task's scene as a MuJoCo model: aloha_sim's table and robot, the paper's cameras, and the task's objects."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import mujoco
import numpy as np

from envs.aloha.places import (
    CAMERA_FOVY,
    CAMERA_HEIGHT,
    CORNERS,
    LOOKS_AT,
    OTHER_CAMERAS,
    TABLE_HALF,
    TABLE_OFFSET,
    TABLE_TOP,
    WRIST_CAMERA,
)
from envs.aloha.props import Prop
from envs.aloha.stand_ins import replace_mesh
from envs.camera import look_at

VISUAL = "textured"
"""The name of a visual mesh that may be missing."""


def build(assets: Path, props: Mapping[str, Prop], replaced: tuple[str, ...] = ()) -> Any:
    """A `mujoco.MjModel`. replaced: objects whose visual mesh has a stand-in, and `frame` (of the table: left out).

    Each object NAME is a free body of that name with its model's body in it.
    """
    spec = mujoco.MjSpec.from_file(str(assets / "aloha" / "scene_pbr.xml"))
    _absolute(spec)
    for key in list(spec.keys):
        key.delete()
    spec.option.enableflags |= int(mujoco.mjtEnableBit.mjENBL_MULTICCD)
    spec.option.noslip_iterations = 0
    spec.visual.quality.offsamples = 0  # multisampled depth is wrong at edges
    _lift(spec, "frame" in replaced)
    _add_cameras(spec)
    for name, prop in props.items():
        _add(spec, assets, name, prop, name in replaced)
    model = spec.compile()
    model.cam_sensorsize[:] = 0  # else images of another shape than the sensor's have pixels that are not square
    return model


def robot_only(assets: Path) -> Any:
    """A model of the two arms alone, without shapes: for the forces that hold and move them."""
    spec = mujoco.MjSpec.from_file(str(assets / "aloha" / "aloha_pbr.xml"))
    for geom in [geom for body in spec.bodies for geom in body.geoms]:
        geom.delete()
    for listed in (spec.meshes, spec.textures, spec.materials, spec.keys):
        for one in list(listed):
            one.delete()
    model = spec.compile()
    model.opt.disableflags |= int(mujoco.mjtDisableBit.mjDSBL_CONTACT)
    return model


def _absolute(spec: Any) -> None:
    """Files by their whole paths and meshes by their names, so that the model can be put into another's folder."""
    folder = Path(spec.modelfiledir)
    for listed, inner in ((spec.meshes, spec.meshdir), (spec.textures, spec.texturedir or spec.meshdir)):
        for one in listed:
            if one.file:
                one.name = one.name or Path(one.file).stem
                one.file = str(folder / inner / one.file)
    spec.meshdir = spec.texturedir = ""


def _lift(spec: Any, without_frame: bool) -> None:
    spec.body("table").pos[2] += TABLE_OFFSET
    spec.camera("worms_eye_cam").pos[2] += TABLE_OFFSET
    for geom in list(spec.worldbody.geoms):
        if geom.meshname == "cell_extrusions":
            geom.pos[2] += TABLE_OFFSET
            if without_frame:
                geom.delete()
    if without_frame:
        spec.mesh("cell_extrusions").delete()


def _add_cameras(spec: Any) -> None:
    for name, (x, y) in CORNERS.items():
        eye = np.array([x * TABLE_HALF[0], y * TABLE_HALF[1], TABLE_TOP + CAMERA_HEIGHT])
        axes = look_at(eye, LOOKS_AT, np.array([0.0, 0.0, 1.0]))[:3, :3] @ np.diag([1.0, -1.0, -1.0])
        quaternion = np.zeros(4)
        mujoco.mju_mat2Quat(quaternion, axes.ravel())
        spec.worldbody.add_camera(name=name, pos=eye, quat=quaternion, fovy=CAMERA_FOVY)
    for name, theirs in OTHER_CAMERAS.items():
        camera = spec.camera(theirs)
        camera.name = name
        if name.startswith("wrist"):
            camera.pos = WRIST_CAMERA


def _add(spec: Any, assets: Path, name: str, prop: Prop, stand_in: bool) -> None:
    model = mujoco.MjSpec.from_file(str(assets / prop.folder / "model.xml"))
    _absolute(model)
    if prop.texture:
        texture = model.texture("texture")
        texture.file = str(Path(texture.file).parent / prop.texture)
    if stand_in:
        replace_mesh(model, VISUAL, prop.plain)
    if prop.scale is not None:
        for mesh in model.meshes:
            mesh.scale = [prop.scale] * 3
    body = model.worldbody.first_body()
    for joint in list(body.joints):
        if joint.type == mujoco.mjtJoint.mjJNT_FREE:
            joint.delete()
    if prop.at_origin:
        body.pos = [0.0, 0.0, 0.0]
    holder = spec.worldbody.add_body(name=name)
    holder.add_freejoint()
    holder.add_frame().attach_body(body, f"{name}/", "")
