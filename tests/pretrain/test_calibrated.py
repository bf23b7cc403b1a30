"""Recordings with calibrated cameras: read to the millimetre, and refused where the calibration cannot be right."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from benchmark.pretrain.data.sources import load_data, open_frames
from benchmark.system.errors import ConfigError
from envs import camera

STEPS, WIDTH, HEIGHT = 6, 80, 60
K = np.array([[70.0, 0, WIDTH / 2], [0, 70.0, HEIGHT / 2], [0, 0, 1]])
BOX = np.array([0.35, 0.05])
"""Middle of a box of 20 x 20 x 10 cm that stands on the plane z = 0."""


def pose(step: int, moving: bool) -> np.ndarray:
    angle = 0.4 + (0.1 * step if moving else 0.0)
    eye = np.array([0.3 + 0.6 * np.cos(angle), 0.7 * np.sin(angle), 0.75])
    return camera.look_at(eye, np.array([0.3, 0.0, 0.0]), np.array([0.0, 0, 1]))


def drawn(extrinsics: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Colour and depth in millimetres of the plane and the box, by casting a ray through every pixel's centre."""
    u, v = np.meshgrid(np.arange(WIDTH) + 0.5, np.arange(HEIGHT) + 0.5)
    local = np.stack([(u - K[0, 2]) / K[0, 0], (v - K[1, 2]) / K[1, 1], np.ones_like(u)], -1)
    rays, eye = local @ extrinsics[:3, :3].T, extrinsics[:3, 3]
    depth = np.where(rays[..., 2] < -1e-6, -eye[2] / rays[..., 2], np.inf)
    top = np.where(rays[..., 2] < -1e-6, (0.1 - eye[2]) / rays[..., 2], np.inf)
    hit = np.all(np.abs((eye + top[..., None] * rays)[..., :2] - BOX) < 0.1, -1)
    depth = np.where(hit, top, depth)
    rgb = np.where(hit[..., None], [200, 40, 40], [120, 120, 120]).astype(np.uint8)
    millimetres = np.where(depth < 5, np.round(1000 * depth), 0).astype(np.uint16)
    millimetres[0, :5] = 0  # nothing was measured there
    return rgb, millimetres


def record(
    root: Path,
    name: str,
    task: str = "push",
    licence: str = "CC-BY-4.0",
    tcp: bool = True,
    change: Callable[[dict[str, Any]], Any] = lambda data: None,
) -> Path:
    folder = root / name
    for view, moving in (("side", False), ("wrist", True)):
        poses = np.stack([pose(step, moving) for step in range(STEPS)])
        (folder / view / "color").mkdir(parents=True)
        (folder / view / "depth").mkdir()
        for step in range(STEPS):
            rgb, depth = drawn(poses[step])
            Image.fromarray(rgb).save(folder / view / "color" / f"{step:06d}.png")
            Image.fromarray(depth).save(folder / view / "depth" / f"{step:06d}.png")
        data = {
            "intrinsics": K.tolist(),
            "robot_from_camera": (poses if moving else poses[0]).tolist(),
            "depth_unit": 0.001,
        }
        change(data)
        (folder / view / "camera.json").write_text(json.dumps(data))
    (folder / "meta.json").write_text(json.dumps({"task": task, "instruction": f"{task} the box", "licence": licence}))
    if tcp:
        np.save(
            folder / "tcp.npy", np.column_stack([np.linspace(0.2, 0.4, STEPS), np.zeros(STEPS), np.full(STEPS, 0.2)])
        )
    return folder


def config(root: Path, *changes: str) -> Any:
    own = ["demos=4", "held_out=1", "stride=2", "num_points=400", "crop=[-0.2,-0.5,-0.01,0.9,0.5,0.5]", *changes]
    return load_data("calibrated", [f"calibrated.{text}" for text in [f"root={root}", *own]])


@pytest.mark.slow
def test_clouds_are_where_things_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for i in range(3):
        record(tmp_path / "data", f"a{i}", licence="CC-BY-4.0" if i else "CC-BY-NC-4.0")
    record(tmp_path / "data", "b0", task="pull", tcp=False)
    frames = open_frames([config(tmp_path / "data")], tmp_path / "cache", True, 1)
    assert frames.tasks() == ["pull", "push"] and len(frames) == 4 * 2 * 3
    for shard in frames.shards:
        for i in range(len(shard)):
            cloud = shard.fields["points"][i][shard.fields["points_valid"][i]]
            top = cloud[:, 2] > 0.05
            assert top.sum() > 5 and np.abs(cloud[top, 2] - 0.1).max() < 2e-3
            assert np.abs(cloud[top, :2] - BOX).max() < 0.1 + 2e-3 and np.abs(cloud[~top, 2]).max() < 2e-3
    push = [shard for shard in frames.shards if shard.task == "push"]
    assert [shard.held_out.sum() for shard in push] == [3, 3], "the last recording of each task"
    assert push[0].instructions[0] == "push the box"
    moved = push[1].fields["extrinsics"][:3, 0]
    assert not np.allclose(moved[0], moved[1]) and np.allclose(moved[1], pose(2, True), atol=1e-6)
    assert frames.summary()["calibrated"]["licences"] == ["CC-BY-4.0", "CC-BY-4.0, CC-BY-NC-4.0"]
    assert "licence: CC-BY-4.0; CC-BY-4.0, CC-BY-NC-4.0" in capsys.readouterr().err
    again = open_frames([config(tmp_path / "data")], tmp_path / "cache", True, 1)
    assert again.content_hash == frames.content_hash
    record(tmp_path / "data", "a3")
    assert open_frames([config(tmp_path / "data")], tmp_path / "cache", True, 1).content_hash != frames.content_hash


def inverted(data: dict[str, Any]) -> None:
    data["robot_from_camera"] = np.linalg.inv(np.array(data["robot_from_camera"])).tolist()


def test_a_calibration_the_wrong_way_round_is_refused(tmp_path: Path) -> None:
    record(tmp_path, "a", change=inverted)
    with pytest.raises(ConfigError, match="in 6 of 6 moments the gripper .* the other way round"):
        open_frames([config(tmp_path)], tmp_path / "cache", False, 1)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d.update(robot_from_camera=np.diag([1.0, 1, -1, 1]).tolist()), "no rotation"),
        (lambda d: d.update(robot_from_camera=[[1.0]]), "4 x 4, or 6 of them"),
        (lambda d: d.update(intrinsics=[1, 2]), "intrinsics are 3 x 3"),
        (lambda d: d.pop("depth_unit"), "KeyError"),
        (lambda d: d.update(depth_unit=1000), "no share of a metre"),
    ],
)
def test_a_camera_file_that_cannot_be_is_named(change: Any, words: str, tmp_path: Path) -> None:
    record(tmp_path, "a", change=change)
    with pytest.raises(ConfigError, match=words):
        open_frames([config(tmp_path)], tmp_path / "cache", False, 1)


def test_cameras_of_different_sizes(tmp_path: Path) -> None:
    """Each is a frame of its own; fused they have one cloud, and no stack of images."""
    folder = record(tmp_path / "data", "a")
    for kind in ("color", "depth"):
        for file in (folder / "wrist" / kind).glob("*.png"):
            whole = np.asarray(Image.open(file))
            Image.fromarray(whole[: HEIGHT // 2, : WIDTH // 2]).save(file)
    each = open_frames([config(tmp_path / "data", "cloud=each")], tmp_path / "cache", True, 1)
    assert [shard.fields["rgb"].shape[1:] for shard in each.shards] == [(1, 60, 80, 3), (1, 30, 40, 3)]
    (fused,) = open_frames([config(tmp_path / "data", "cloud=fused")], tmp_path / "cache", False, 1).shards
    assert fused.fields["points_valid"].any(1).all()
    with pytest.raises(ConfigError, match="images of 30 x 40, 60 x 80, and a frame of several cameras has one size"):
        open_frames([config(tmp_path / "data", "cloud=fused")], tmp_path / "cache", True, 1)


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    folder = record(tmp_path, "a")
    with pytest.raises(ConfigError, match="no recording of pour"):
        open_frames([config(tmp_path, "tasks=[pour]")], tmp_path / "cache", False, 1)
    with pytest.raises(ConfigError, match="camera front; all have side, wrist"):
        open_frames([config(tmp_path, "cameras=[front]")], tmp_path / "cache", False, 1)
    np.save(folder / "tcp.npy", np.zeros((2, 3)))
    with pytest.raises(ConfigError, match=r"not \(6, 3\)"):
        open_frames([config(tmp_path)], tmp_path / "cache", False, 1)
    (folder / "side/color/000002.png").write_bytes(b"broken")
    (folder / "tcp.npy").unlink()
    with pytest.raises(ConfigError, match="000002.png cannot be read"):
        open_frames([config(tmp_path)], tmp_path / "cache", False, 1)
    (folder / "side/depth/000005.png").unlink()
    with pytest.raises(ConfigError, match="equally many"):
        open_frames([config(tmp_path)], tmp_path / "cache", False, 1)
    (folder / "meta.json").write_text('{"task": "push", "instruction": "x"}')
    with pytest.raises(ConfigError, match="has no licence"):
        open_frames([config(tmp_path)], tmp_path / "cache", False, 1)
