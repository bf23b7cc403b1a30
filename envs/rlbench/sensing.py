"""RLBench's observations as this benchmark's: cameras in OpenCV axes, points and poses in the robot frame.

PyRep's camera looks along z with x to the left and y up, and its focal lengths are negative; turned by half a turn
about z, and with positive focal lengths, that is OpenCV's. Depth is along the optical axis. Clouds are computed here
from depth, and not RLBench's: that takes a pixel's corner for its centre, which moves points by half a pixel.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from envs import points
from envs.pictures import as_fields
from envs.recorded_views import View
from envs.rlbench_port.places import BASE
from envs.rotations import canonical, nearer
from envs.spec import Observation, ObservationRequest

TURN = np.diag([-1.0, -1.0, 1.0, 1.0])
"""PyRep's camera axes to OpenCV's, and back."""
EMPTY = 1e-5
"""Share of a camera's range by which depth may be short of its far plane where nothing is hit."""
DOWN = np.array([0.0, 1.0, 0.0, 0.0])
"""Quaternion x, y, z, w of a hand that points down with its fingers along the robot's y axis: RLBench begins near."""
DARK = 3
"""Of 255. An image without a brighter pixel was not drawn: RLBench's scene is lit."""


class NoPicture(RuntimeError):
    """A camera gives what cannot be an image of the scene."""


def robot_from_world(base: np.ndarray = BASE, yaw: float = 0.0) -> np.ndarray:
    """(4, 4). base: (3,) metres, of the robot in RLBench's world. yaw: degrees about z that the robot's frame is turned
    by."""
    c, s = np.cos(np.radians(yaw)), np.sin(np.radians(yaw))
    turn = np.array([[c, -s, 0, 0], [s, c, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    moved = np.eye(4)
    moved[:3, 3] = -base
    return turn @ moved


def calibration(
    intrinsics: np.ndarray, pose: np.ndarray, base: np.ndarray = BASE, yaw: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """Of one camera in `misc`, PyRep's intrinsics (3, 3) and world_from_camera (4, 4): intrinsics with positive focal
    lengths, and robot_from_camera in OpenCV's axes."""
    turned = np.array(intrinsics, np.float64)
    turned[[0, 1], [0, 1]] = np.abs(turned[[0, 1], [0, 1]])
    return turned, robot_from_world(base, yaw) @ pose @ TURN


def nothing_is_far(depth: np.ndarray, near: float, far: float) -> np.ndarray:
    """Depth (H, W) float32 metres, infinite where it is the far plane: nothing was hit there."""
    found = np.asarray(depth, np.float32).copy()
    found[found >= far - EMPTY * (far - near)] = np.inf
    return found


def view_of(observation: Any, camera: str, request: ObservationRequest) -> View:
    """One camera of a live observation, whose depth is in metres. What was not asked for is empty.

    Raises `NoPicture`.
    """
    misc: Mapping[str, Any] = observation.misc
    intrinsics, pose = (np.asarray(misc[f"{camera}_camera_{name}"]) for name in ("intrinsics", "extrinsics"))
    rgb, depth = np.zeros((0, 0, 3), np.uint8), np.zeros((0, 0), np.float32)
    if request.colour:
        rgb = np.asarray(getattr(observation, f"{camera}_rgb"), np.uint8)
        if rgb.max(initial=0) <= DARK:
            raise NoPicture(
                f"the image of {camera} is black: CoppeliaSim draws nothing here. QT_QPA_PLATFORM must be unset or "
                "xcb, and the X server needs GLX (`bench doctor rlbench` looks at pixels)"
            )
    if request.geometry:
        near, far = (float(misc[f"{camera}_camera_{name}"]) for name in ("near", "far"))
        depth = nothing_is_far(getattr(observation, f"{camera}_depth"), near, far)
    return View(rgb, depth, *calibration(intrinsics, pose))


def proprio_of(observation: Any, lift3d: bool = False) -> np.ndarray:
    """(15,) float32: joints 7, radians; the fingertips' place 3, metres, robot frame, and rotation x, y, z, w with the
    sign of `pose_of`; the gripper open 1 or 0.

    lift3d: with w >= 0, as Lift3D's public code has it in what it trains on, and not in what it plays.
    """
    place, rotation = pose_of(observation)
    rotation = canonical(rotation) if lift3d else rotation
    joints = np.asarray(observation.joint_positions, np.float64)
    return np.array([*joints, *place, *rotation, float(observation.gripper_open > 0.5)], np.float32)


def pose_of(observation: Any) -> tuple[np.ndarray, np.ndarray]:
    """Of the fingertips: place (3,), metres, robot frame, and unit quaternion x, y, z, w (4,), float64, of its two
    signs the one nearer to `DOWN`."""
    pose = np.asarray(observation.gripper_pose, np.float64)
    return pose[:3] - BASE, nearer(pose[3:] / np.linalg.norm(pose[3:]), DOWN)


def fields_of(views: Mapping[str, View], request: ObservationRequest, proprio: np.ndarray) -> Observation:
    """The requested fields of one moment. views: by the names of the request's cameras, in its sizes.

    Raises ValueError for an image of another size.
    """
    seen = [views[name] for name in request.cameras]
    for name, view in zip(request.cameras, seen, strict=True):
        for picture, wanted in ((view.rgb, request.colour), (view.depth, request.geometry)):
            if wanted and picture.shape[:2] != request.size_of(name):
                raise ValueError(f"{name} has {picture.shape[:2]} pixels, and {request.size_of(name)} are asked for")
    found = Observation()
    if "rgb" in request.fields:
        found |= as_fields("rgb", [view.rgb for view in seen], request)
    if "depth" in request.fields:
        found |= as_fields("depth", [view.depth for view in seen], request)
    for name in ("intrinsics", "extrinsics"):
        if name in request.fields:
            found[name] = np.stack([getattr(view, name) for view in seen]).astype(np.float32)
    if not {"points", "points_valid", "point_colors"}.isdisjoint(request.fields):
        found |= _cloud(seen, request)
    if "proprio" in request.fields:
        found["proprio"] = proprio
    return found


def _cloud(seen: list[View], request: ObservationRequest) -> Observation:
    clouds, colours = [], []
    for name, view in zip(request.cameras, seen, strict=True):
        height, width = view.depth.shape
        back = points.BackProjection(view.intrinsics, view.extrinsics, height, width, request.crop_of(name))
        cloud, index = back(view.depth)
        clouds.append(cloud)
        if "point_colors" in request.fields:
            colours.append(view.rgb.reshape(-1, 3)[index])
    merged = np.concatenate(clouds)
    chosen = points.sample(merged, request.num_points, request.sampler)
    found = dict(zip(("points", "points_valid"), points.pad(merged[chosen], request.num_points), strict=True))
    if colours:
        found["point_colors"] = points.pad(np.concatenate(colours)[chosen], request.num_points)[0]
    return {name: array for name, array in found.items() if name in request.fields}
