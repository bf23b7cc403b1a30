"""A shape in the place of a visual mesh that is missing: the object's collision hulls as one mesh, in one colour.

MuJoCo takes an object's mass from its visual mesh, so a stand-in weighs about as much, not the same; overlapping hulls
count twice. A mesh of one hull alone would make a mug of a gram.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import mujoco
import numpy as np

from envs.aloha.props import Colour


def replace_mesh(model: Any, name: str, colour: Colour) -> None:
    """Give the mesh `name` of a `mujoco.MjSpec` the vertices of all its other meshes, whose paths are whole."""
    vertices: list[np.ndarray] = []
    faces: list[np.ndarray] = []
    count = 0
    for mesh in model.meshes:
        if mesh.name != name:
            points, triangles = read_obj(Path(mesh.file))
            vertices.append(points)
            faces.append(triangles + count)
            count += len(points)
    mesh = model.mesh(name)
    mesh.file = ""
    mesh.uservert = np.concatenate(vertices).ravel()
    mesh.userface = np.concatenate(faces).ravel()
    for geom in [geom for body in model.bodies for geom in body.geoms]:
        if geom.type == mujoco.mjtGeom.mjGEOM_MESH and geom.meshname == name:
            geom.material, geom.rgba = "", colour


def read_obj(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (N, 3) float32 and triangles (M, 3) int32 of a Wavefront file; larger faces become fans."""
    vertices, triangles = [], []
    for line in path.read_text().splitlines():
        words = line.split()
        if words[:1] == ["v"]:
            vertices.append([float(word) for word in words[1:4]])
        elif words[:1] == ["f"]:
            corners = [int(word.split("/")[0]) - 1 for word in words[1:]]
            triangles += [[corners[0], b, c] for b, c in pairwise(corners[1:])]
    return np.array(vertices, np.float32), np.array(triangles, np.int32)
