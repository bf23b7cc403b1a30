"""RLBench's demonstrations in the layout in which RLBench stores them, read without RLBench."""

from __future__ import annotations

import os
import pickle
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from benchmark.data import panda_base, rlbench_files
from benchmark.data.safe_pickle import Hostile, Plain, Refused, read_pickle
from benchmark.pretrain.data.config import DataConfig
from benchmark.pretrain.data.sources import load_data, open_frames
from benchmark.system.errors import ConfigError
from methods.clar.local import project, visible

BASE = np.array([-0.27, -0.01, 0.77])
TABLE = 0.80
NEAR, FAR, SIZE = 0.01, 4.5, 64
MARK = np.array([0.3, 0.1, TABLE])
"""A point of the table in the world that is painted red."""


@pytest.fixture
def their_classes() -> Iterator[types.SimpleNamespace]:
    """Modules and classes of RLBench's names, as they are where its pickles are written, and gone afterwards."""
    demo, backend, observation = (
        types.ModuleType(f"rlbench{name}") for name in (".demo", ".backend", ".backend.observation")
    )
    root = types.ModuleType("rlbench")

    class Demo:
        def __init__(self, observations: list[Any], random_seed: Any = None) -> None:
            self._observations, self.random_seed, self.variation_number = observations, random_seed, 0

    class Observation:
        def __init__(self, **fields: Any) -> None:
            self.__dict__.update(fields)

    for kind, module in ((Demo, demo), (Observation, observation)):
        kind.__module__, kind.__qualname__ = module.__name__, kind.__name__
        setattr(module, kind.__name__, kind)
    added = {
        "rlbench": root,
        "rlbench.demo": demo,
        "rlbench.backend": backend,
        "rlbench.backend.observation": observation,
    }
    sys.modules.update(added)
    yield types.SimpleNamespace(Demo=Demo, Observation=Observation)
    for name in added:
        sys.modules.pop(name, None)


def camera_pose() -> np.ndarray:
    """world_from_camera in PyRep's axes (x left, y up, z forward), behind the table, facing the robot."""
    eye, target = np.array([1.1, 0.2, 1.6]), np.array([0.2, 0.0, TABLE])
    forward = (target - eye) / np.linalg.norm(target - eye)
    left = np.cross([0.0, 0, 1], forward)
    left /= np.linalg.norm(left)
    pose = np.eye(4)
    pose[:3, 0], pose[:3, 1], pose[:3, 2], pose[:3, 3] = left, np.cross(forward, left), forward, eye
    return pose


def intrinsics(degrees: float = 60.0) -> np.ndarray:
    """PyRep's: focal lengths are negative."""
    focal = -(SIZE / 2) / np.tan(np.radians(degrees) / 2)
    return np.array([[focal, 0, SIZE / 2], [0, focal, SIZE / 2], [0, 0, 1]])


def seen() -> tuple[np.ndarray, np.ndarray]:
    """Picture and depth of a bare table with one red spot, by intersecting each pixel's ray with the plane."""
    pose, k = camera_pose(), intrinsics()
    rgb, depth = np.full((SIZE, SIZE, 3), 120, np.uint8), np.ones((SIZE, SIZE))
    for row in range(SIZE):
        for column in range(SIZE):
            local = np.array([(column + 0.5 - k[0, 2]) / k[0, 0], (row + 0.5 - k[1, 2]) / k[1, 1], 1.0])
            ray = pose[:3, :3] @ local
            distance = (TABLE - pose[2, 3]) / ray[2]
            if 0 < distance < FAR:
                depth[row, column] = (distance - NEAR) / (FAR - NEAR)
                if np.linalg.norm(pose[:3, 3] + distance * ray - MARK) < 0.02:
                    rgb[row, column] = (255, 0, 0)
    return rgb, depth


def write_episode(
    folder: Path, classes: types.SimpleNamespace, steps: int = 5, protocol: int = 4, seed: int = 0
) -> None:
    rng = np.random.default_rng(seed)
    rgb, depth = seen()
    levels = np.floor(depth * (2**24 - 1) + 0.5).astype(np.uint32)
    coded = np.stack([levels // 65536, levels // 256 % 256, levels % 256], axis=-1).astype(np.uint8)
    observations = []
    for step in range(steps):
        for kind, picture in (("rgb", rgb), ("depth", coded), ("mask", np.zeros_like(rgb))):
            path = folder / f"front_{kind}" / f"{step}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture).save(path)
        joints = np.array([0, 0.17, 0, -0.87, 0, 1.22, 0.79]) + rng.normal(0, 0.3, 7)
        position, axis = panda_base.flange(joints)
        observations.append(
            classes.Observation(
                joint_positions=joints,
                joint_velocities=np.zeros(7),
                gripper_open=1.0,
                front_rgb=None,
                gripper_pose=np.append(BASE + position + 0.1034 * axis, [0, 0, 0, 1]),
                task_low_dim_state=np.zeros(3),
                misc={
                    "front_camera_near": NEAR,
                    "front_camera_far": FAR,
                    "front_camera_intrinsics": intrinsics(),
                    "front_camera_extrinsics": camera_pose(),
                },
            )
        )
    state = np.random.RandomState(0).get_state()
    (folder / "low_dim_obs.pkl").write_bytes(pickle.dumps(classes.Demo(observations, state), protocol))
    with (folder / "variation_descriptions.pkl").open("wb") as file:
        pickle.dump(["close it", "screw the red lid onto the jar"], file)


@pytest.fixture
def dataset(tmp_path: Path, their_classes: types.SimpleNamespace) -> Path:
    for number in range(3):
        write_episode(
            tmp_path / "rl" / "close_jar" / "all_variations" / "episodes" / f"episode{number}",
            their_classes,
            seed=number,
        )
    for name in ("rlbench", "rlbench.demo", "rlbench.backend", "rlbench.backend.observation"):
        sys.modules.pop(name)
    return tmp_path / "rl"


def config(root: Path, *more: str) -> DataConfig:
    small = [
        "tasks=[close-jar]",
        "cameras=[front]",
        "demos=3",
        "held_out=1",
        "stride=2",
        "num_points=128",
        f"root={root}",
    ]
    return load_data("rlbench-9", [f"rlbench-9.{text}" for text in (*small, *more)])


@pytest.mark.slow
def test_frames_are_in_the_robots_frame(dataset: Path, tmp_path: Path) -> None:
    frames = open_frames([config(dataset)], tmp_path / "data", True, 1)
    assert len(frames) == 9 and len(frames.rows(held_out=True)) == 3
    shard = frames.shards[0]
    assert shard.instructions[0] == "screw the red lid onto the jar", "the longest, as Lift3D takes it"
    fields = frames.gather(range(9), ("points", "points_valid", "rgb", "depth", "intrinsics", "extrinsics"))
    assert fields["points"].shape == (9, 128, 3) and fields["rgb"].shape == (9, 1, SIZE, SIZE, 3)
    assert fields["points_valid"].all()
    assert np.abs(fields["points"][..., 2] - (TABLE - BASE[2])).max() < 1e-3, (
        "the table, as high as it is over the base"
    )
    import torch

    batch = {name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in fields.items()}
    where = torch.from_numpy(MARK - BASE).float().expand(9, 1, 3)
    pixels, depth = project(where, batch["intrinsics"][:, 0], batch["extrinsics"][:, 0])
    column, row = pixels[0, 0].floor().long().tolist()
    assert fields["rgb"][0, 0, row, column].tolist() == [255, 0, 0], "the red spot is where it is projected to"
    assert visible(pixels, depth, batch["depth"][:, 0]).all()
    cloud_pixels, cloud_depth = project(batch["points"], batch["intrinsics"][:, 0], batch["extrinsics"][:, 0])
    assert visible(cloud_pixels, cloud_depth, batch["depth"][:, 0], tolerance=1e-3).all()


@pytest.mark.slow
def test_the_same_frames_come_from_the_disk_the_second_time(dataset: Path, tmp_path: Path) -> None:
    one = open_frames([config(dataset)], tmp_path / "data", False, 1)
    for file in dataset.rglob("*.png"):
        file.unlink()
    two = open_frames([config(dataset)], tmp_path / "data", False, 1)
    assert one.content_hash == two.content_hash
    assert np.array_equal(one.gather([4], ["points"])["points"], two.gather([4], ["points"])["points"])


@pytest.mark.slow
def test_a_base_that_is_given_and_a_turn(dataset: Path, tmp_path: Path) -> None:
    plain = open_frames([config(dataset)], tmp_path / "data", False, 1).gather([0], ["points"])["points"][0]
    given = open_frames([config(dataset, "base=[0,0,0]", "crop=[-2,-2,0.5,2,2,2]")], tmp_path / "data", False, 1)
    assert np.abs(given.gather([0], ["points"])["points"][0][:, 2] - TABLE).max() < 1e-3
    turned = open_frames([config(dataset, "yaw=90", "crop=[-0.8,-0.5,-0.01,0.8,1.2,1.2]")], tmp_path / "data", False, 1)
    other = turned.gather([0], ["points"])["points"][0]
    back = np.column_stack([other[:, 1], -other[:, 0], other[:, 2]])  # the sample is another one of the same table
    assert np.allclose(back.min(axis=0), plain.min(axis=0), atol=0.02), "forward is +y now"
    assert np.allclose(back.max(axis=0), plain.max(axis=0), atol=0.02)


def test_variations_are_read_one_after_the_other(tmp_path: Path, their_classes: types.SimpleNamespace) -> None:
    for variation in (0, 1):
        for number in (0, 1):
            write_episode(
                tmp_path / "close_jar" / f"variation{variation}" / "episodes" / f"episode{number}",
                their_classes,
                steps=1,
            )
    episodes = rlbench_files.find_episodes(tmp_path, "close-jar", 4)
    found = [f"{e.folder.parents[1].name}/{e.folder.name}" for e in episodes]
    assert found == ["variation0/episode0", "variation1/episode0", "variation0/episode1", "variation1/episode1"]
    with pytest.raises(ConfigError, match="has 4 episodes, and 5 are asked for"):
        rlbench_files.find_episodes(tmp_path, "close-jar", 5)
    with pytest.raises(ConfigError, match="is no folder"):
        rlbench_files.find_episodes(tmp_path, "open-drawer", 1)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_every_protocol_of_pickle(tmp_path: Path, their_classes: types.SimpleNamespace, protocol: int) -> None:
    write_episode(tmp_path, their_classes, steps=2, protocol=protocol)
    found = read_pickle(tmp_path / "low_dim_obs.pkl")
    assert isinstance(found, Plain) and len(found._observations) == 2
    assert found._observations[0].misc["front_camera_far"] == FAR


class Bomb:
    def __reduce__(self) -> Any:
        return os.system, ("touch /tmp/repbench-was-here",)


def test_a_pickle_that_wants_more_is_refused_by_name(tmp_path: Path) -> None:
    file = tmp_path / "low_dim_obs.pkl"
    for bad, name in (
        (Bomb(), "posix.system"),
        (os.path, "import"),
        (print, "builtins.print"),
        (eval, "builtins.eval"),
    ):
        try:
            file.write_bytes(pickle.dumps(bad))
        except TypeError:
            continue
        with pytest.raises(Hostile, match=f"{file}.*{name}"):
            read_pickle(file)
    assert not Path("/tmp/repbench-was-here").exists()
    file.write_bytes(b"cos\nsystem\n(S'touch /tmp/repbench-was-here'\ntR.")
    with pytest.raises(Hostile, match="os.system"):
        read_pickle(file)
    file.write_bytes(pickle.dumps([1, 2])[:-3])
    with pytest.raises(Refused, match="no demonstration"):
        read_pickle(file)
    with pytest.raises(FileNotFoundError):
        read_pickle(tmp_path / "absent.pkl")


@pytest.mark.slow
def test_damage_and_gaps_are_named(dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no camera wrist.*it has front"):
        open_frames([config(dataset, "cameras=[wrist]")], tmp_path / "data", False, 1)
    with pytest.raises(ConfigError, match="rlbench-9.root=FOLDER"):
        open_frames([load_data("rlbench-9")], tmp_path / "data", False, 1)
    with pytest.raises(ConfigError, match="is no folder"):
        open_frames([config(tmp_path / "nowhere")], tmp_path / "data", False, 1)
    with pytest.raises(ValueError, match="no moment has a point inside the crop"):
        open_frames([config(dataset, "crop=[5,5,5,6,6,6]")], tmp_path / "data", False, 1)
    next(iter(sorted(dataset.rglob("front_depth/2.png")))).unlink()
    with pytest.raises(FileNotFoundError, match="front_depth/2.png"):
        open_frames([config(dataset)], tmp_path / "other", False, 1)


def test_a_pandas_base_is_found_and_another_robot_is_refused() -> None:
    rng = np.random.default_rng(0)
    joints = rng.normal(0, 0.5, (20, 7)) + np.array([0, 0.17, 0, -1.2, 0, 1.5, 0.8])
    tips = np.stack([position + 0.1034 * axis for position, axis in map(panda_base.flange, joints)])
    assert np.allclose(panda_base.find_base(joints, tips + BASE), BASE, atol=1e-6)
    longer = np.stack([position + 0.15 * axis for position, axis in map(panda_base.flange, joints)])
    assert np.allclose(panda_base.find_base(joints, longer + BASE), BASE, atol=2e-3), "another tool's length is fitted"
    with pytest.raises(panda_base.NotAPanda, match=r"DATA.base=\[x,y,z\]"):
        panda_base.find_base(joints, 1.2 * tips)
    still = np.repeat(joints[:1], 5, axis=0)
    assert np.allclose(panda_base.find_base(still, np.repeat(tips[:1], 5, axis=0) + BASE), BASE, atol=1e-3)
