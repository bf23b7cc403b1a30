"""Synthetic frames: coloured blobs on a table, whose place, image and instruction say the same."""

from __future__ import annotations

import numpy as np

from benchmark.pretrain.data.frames import Frames, Shard
from envs import camera

COLOURS = np.array([[220, 40, 40], [40, 180, 60], [50, 80, 220], [230, 200, 40]], np.uint8)
NAMES = ("red", "green", "blue", "yellow")
SIZE = 32


def shard(
    frames: int = 40,
    trajectories: int = 20,
    cameras: int = 1,
    held_out: int = 4,
    seed: int = 0,
    points: int = 96,
    source: str = "scenes",
    task: str = "blobs",
) -> Shard:
    """Each frame: two blobs at random places, one of them tall, seen by cameras that look at the table."""
    rng = np.random.default_rng(seed)
    views = [
        camera.look_at(np.array([0.6 * np.cos(a), 0.6 * np.sin(a), 0.7]), np.zeros(3), np.array([0.0, 0, 1]))
        for a in np.linspace(-2.0, 1.0, cameras)
    ]
    intrinsics = camera.intrinsics_from_fovy(45, SIZE, SIZE)
    out: dict[str, list[np.ndarray]] = {}
    for _ in range(frames):
        centers = rng.uniform(-0.25, 0.25, (2, 2))
        tall = rng.uniform(0.05, 0.25, 2)
        blob = rng.integers(2, size=points)
        cloud = np.column_stack(
            [centers[blob] + rng.uniform(-0.04, 0.04, (points, 2)), rng.uniform(0, 1, points) * tall[blob]]
        )
        picture, depth = [], []
        for view in views:
            pixels, distance = camera.project(cloud, intrinsics, view)
            rgb = np.full((SIZE, SIZE, 3), 90, np.uint8)
            z = np.full((SIZE, SIZE), np.inf, np.float32)
            for (u, v), d, which in zip(np.floor(pixels).astype(int), distance, blob, strict=True):
                if 0 <= u < SIZE and 0 <= v < SIZE and d < z[v, u]:
                    rgb[v, u], z[v, u] = COLOURS[which], d
            picture.append(rgb)
            depth.append(z)
        valid = np.ones(points, bool)
        values = {
            "points": cloud.astype(np.float32),
            "points_valid": valid,
            "rgb": np.stack(picture),
            "depth": np.stack(depth),
            "intrinsics": np.stack([intrinsics] * cameras).astype(np.float32),
            "extrinsics": np.stack(views).astype(np.float32),
        }
        for name, value in values.items():
            out.setdefault(name, []).append(value)
    number = np.arange(frames) % trajectories
    return Shard(
        source=source,
        task=task,
        instructions=(f"look at {task}",) * frames,
        fields={k: np.stack(v) for k, v in out.items()},
        trajectories=tuple(f"{source}/{task}/{i}" for i in number),
        held_out=number >= trajectories - held_out,
        key=f"{source}-{task}-{seed}-{frames}",
        licence="ours",
    )


def frames(*shards: Shard, **weights: float) -> Frames:
    chosen = shards or (shard(),)
    return Frames(tuple(chosen), {s.source: weights.get(s.source, 1.0) for s in chosen})
