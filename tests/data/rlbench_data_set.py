"""Data sets in the layouts of RLBench's `dataset_generator` and of PerAct: an arm, a table, a known motion."""

from __future__ import annotations

import pickle
import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmark.data import panda_base
from envs.rlbench.facts import CAMERAS
from envs.rlbench_port.places import BASE

SIZE, NEAR, FAR = 48, 0.01, 4.5
TABLE = BASE[2] + 0.05
"""Height in the world of the plane that every camera sees: 5 cm over the robot's base, inside the default crop."""
MOVE = 8
"""Moments between two keyframes."""
DESCRIPTIONS = ["close box", "close the lid on the box", "shut the box", "shut the box lid"]


@contextmanager
def their_classes() -> Iterator[types.SimpleNamespace]:
    """Modules and classes of RLBench's names, as they are where its pickles are written, and gone afterwards."""
    names = ("rlbench", "rlbench.demo", "rlbench.backend", "rlbench.backend.observation")
    modules = {name: types.ModuleType(name) for name in names}

    class Demo:
        def __init__(self, observations: list[Any]) -> None:
            self._observations = observations
            self.random_seed, self.num_reset_attempts = np.random.RandomState(0).get_state(), 1

    class Observation:
        def __init__(self, **fields: Any) -> None:
            self.__dict__.update(fields)

    for kind, name in ((Demo, "rlbench.demo"), (Observation, "rlbench.backend.observation")):
        kind.__module__, kind.__qualname__ = name, kind.__name__
        setattr(modules[name], kind.__name__, kind)
    sys.modules.update(modules)
    try:
        yield types.SimpleNamespace(Demo=Demo, Observation=Observation)
    finally:
        for name in names:
            sys.modules.pop(name, None)


def camera_pose(number: int = 0) -> np.ndarray:
    """world_from_camera (4, 4) in PyRep's axes (x left, y up, z forward): over the table, looking at it."""
    eye = np.array([1.1, 0.2 - 0.1 * number, 1.6])
    forward = np.array([0.2, 0.0, TABLE]) - eye
    forward /= np.linalg.norm(forward)
    left = np.cross([0.0, 0, 1], forward)
    left /= np.linalg.norm(left)
    pose = np.eye(4)
    pose[:3, 0], pose[:3, 1], pose[:3, 2], pose[:3, 3] = left, np.cross(forward, left), forward, eye
    return pose


def intrinsics() -> np.ndarray:
    """PyRep's, 40 degrees: focal lengths are negative."""
    focal = -(SIZE / 2) / np.tan(np.radians(40) / 2)
    return np.array([[focal, 0, SIZE / 2], [0, focal, SIZE / 2], [0, 0, 1]])


def seen(pose: np.ndarray, mark: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Picture (H, W, 3) and depth (H, W), as a share of the range, of a bare table with a red spot around `mark`."""
    k = intrinsics()
    columns, rows = np.meshgrid(np.arange(SIZE) + 0.5, np.arange(SIZE) + 0.5)
    local = np.stack([(columns - k[0, 2]) / k[0, 0], (rows - k[1, 2]) / k[1, 1], np.ones_like(rows)], axis=-1)
    rays = local @ pose[:3, :3].T
    distance = (TABLE - pose[2, 3]) / rays[..., 2]
    places = pose[:3, 3] + distance[..., None] * rays
    hit = (distance > 0) & (distance < FAR) & (np.abs(places[..., 0]) < 0.9)
    rgb = np.where(np.linalg.norm(places - mark, axis=-1)[..., None] < 0.03, [255, 0, 0], [90, 120, 150])
    return rgb.astype(np.uint8), np.where(hit, (distance - NEAR) / (FAR - NEAR), 1.0)


def coded(shares: np.ndarray) -> np.ndarray:
    """Depth as RLBench stores it: 24 bits over the channels of an image."""
    levels = np.floor(shares * (2**24 - 1) + 0.5).astype(np.uint32)
    return np.stack([levels // 65536, levels // 256 % 256, levels % 256], axis=-1).astype(np.uint8)


def joints_of(rng: np.random.Generator, keyframes: int) -> np.ndarray:
    """Joint angles (keyframes + 1, 7), radians, at the start and at each keyframe."""
    home = np.array([0, 0.17, 0, -0.87, 0, 1.22, 0.79])
    return home + np.concatenate([np.zeros((1, 7)), rng.normal(0, 0.25, (keyframes, 7))])


def gripper_pose(joints: np.ndarray, turn: int = 1) -> np.ndarray:
    """Place and quaternion x, y, z, w in the world, of either sign."""
    from scipy.spatial.transform import Rotation

    position, axis = panda_base.flange(joints)
    rotation, _ = Rotation.align_vectors([axis], [[0, 0, 1]])
    return np.array([*(BASE + position + panda_base.HAND * axis), *(turn * rotation.as_quat())])


def write_episode(
    folder: Path,
    classes: types.SimpleNamespace,
    keyframes: int = 3,
    seed: int = 0,
    protocol: int = 4,
    cameras: tuple[str, ...] = CAMERAS,
    **changes: Any,
) -> np.ndarray:
    """An arm that moves from one posture to the next, rests at each, and closes at the second keyframe.

    The moment after resting for two has the gripper's new state. changes: of every observation. Returns the joints
    (keyframes + 1, 7).
    """
    rng = np.random.default_rng(seed)
    postures = joints_of(rng, keyframes)
    mark = np.array([0.2 + 0.05 * rng.uniform(), 0.1 * rng.uniform(), TABLE])
    observations = []
    opened = [1.0, 1.0, *[0.0] * (keyframes - 1)]

    def moment(joints: np.ndarray, speed: float, gripper: float) -> None:
        for number, camera in enumerate(cameras):
            rgb, depth = seen(camera_pose(number), mark)
            for kind, picture in (("rgb", rgb), ("depth", coded(depth)), ("mask", np.zeros_like(rgb))):
                path = folder / f"{camera}_{kind}" / f"{len(observations)}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(picture).save(path)
        misc: dict[str, Any] = {"variation_index": 0}
        for number, camera in enumerate(cameras):
            misc |= {f"{camera}_camera_near": NEAR, f"{camera}_camera_far": FAR}
            misc |= {f"{camera}_camera_intrinsics": intrinsics(), f"{camera}_camera_extrinsics": camera_pose(number)}
        fields: dict[str, Any] = {f"{camera}_{kind}": None for camera in CAMERAS for kind in ("rgb", "depth", "mask")}
        fields |= {
            "joint_positions": joints,
            "joint_velocities": np.full(7, speed),
            "joint_forces": np.zeros(7),
            "gripper_open": gripper,
            "gripper_pose": gripper_pose(joints, -1 if len(observations) % 2 else 1),
            "task_low_dim_state": np.zeros(3),
            "misc": misc,
        }
        observations.append(classes.Observation(**{**fields, **changes}))

    moment(postures[0], 0.5, 1.0)
    for number in range(1, keyframes + 1):
        for share in np.linspace(0, 1, MOVE + 1)[1:]:
            moment(postures[number - 1] + share * (postures[number] - postures[number - 1]), 0.5, opened[number - 1])
        for rest in range(3):
            moment(postures[number], 0.0, opened[number - 1] if rest < 2 else opened[number])
    (folder / "low_dim_obs.pkl").write_bytes(pickle.dumps(classes.Demo(observations), protocol))
    return postures


def write_descriptions(file: Path, texts: Any = DESCRIPTIONS) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(pickle.dumps(texts))


def episode_folder(root: Path, number: int, task: str = "close_box", variation: str = "variation0") -> Path:
    return root / task / variation / "episodes" / f"episode{number}"


def write_data_set(root: Path, count: int, peract: bool = False, **options: Any) -> list[np.ndarray]:
    """`count` episodes of close_box; in PerAct's layout descriptions and variation are beside each. Their joints."""
    found = []
    with their_classes() as classes:
        for number in range(count):
            folder = episode_folder(root, number, variation="all_variations" if peract else "variation0")
            folder.mkdir(parents=True)
            found.append(write_episode(folder, classes, seed=number, **options))
            if peract:
                write_descriptions(folder / "variation_descriptions.pkl")
                (folder / "variation_number.pkl").write_bytes(pickle.dumps(0))
    if not peract:
        write_descriptions(root / "close_box" / "variation0" / "variation_descriptions.pkl")
    return found
