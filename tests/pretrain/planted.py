"""Scenes with a planted correspondence: where an object stands and how tall it is decides its image.

The cloud has no colour. A tall object is red, a low one blue, and so on, so what an image shows can be told from the
cloud, and only from it.
"""

from __future__ import annotations

import numpy as np

from benchmark.pretrain.data.frames import Frames, Shard
from envs import camera
from tests.pretrain.scenes import COLOURS, NAMES, SIZE

HEIGHTS = (0.06, 0.14, 0.22, 0.30)
TRAIN, HELD_OUT = 2400, 64


def frames() -> Frames:
    shards = tuple(_shard(colour) for colour in range(len(COLOURS)))
    return Frames(shards, {"planted": 1.0})


def _shard(colour: int) -> Shard:
    """Every frame is a trajectory of its own: one object of this colour at a random place."""
    rng = np.random.default_rng(colour)
    view = camera.look_at(np.array([0.0, -0.5, 0.8]), np.zeros(3), np.array([0.0, 0, 1]))
    intrinsics = camera.intrinsics_from_fovy(50, SIZE, SIZE).astype(np.float32)
    total = (TRAIN + HELD_OUT) // len(COLOURS)
    arrays: dict[str, list[np.ndarray]] = {name: [] for name in ("points", "rgb", "depth")}
    for _ in range(total):
        middle = rng.uniform(-0.25, 0.25, 2)
        cloud = np.column_stack([middle + rng.uniform(-0.06, 0.06, (96, 2)), rng.uniform(0, HEIGHTS[colour], 96)])
        pixels, distance = camera.project(cloud, intrinsics, view)
        rgb, depth = np.full((1, SIZE, SIZE, 3), 90, np.uint8), np.full((1, SIZE, SIZE), np.inf, np.float32)
        for (u, v), d in zip(np.floor(pixels).astype(int), distance, strict=True):
            if 0 <= u < SIZE and 0 <= v < SIZE and d < depth[0, v, u]:
                rgb[0, v, u], depth[0, v, u] = COLOURS[colour], d
        for name, value in (("points", cloud.astype(np.float32)), ("rgb", rgb), ("depth", depth)):
            arrays[name].append(value)
    fields = {name: np.stack(values) for name, values in arrays.items()}
    fields["points_valid"] = np.ones((total, 96), bool)
    fields["intrinsics"] = np.broadcast_to(intrinsics, (total, 1, 3, 3))
    fields["extrinsics"] = np.broadcast_to(view.astype(np.float32), (total, 1, 4, 4))
    return Shard(
        source="planted",
        task=NAMES[colour],
        instructions=(f"take the {NAMES[colour]} object",) * total,
        fields=fields,
        trajectories=tuple(f"{NAMES[colour]}/{i}" for i in range(total)),
        held_out=np.arange(total) >= TRAIN // len(COLOURS),
        key=f"planted-{colour}",
        licence="ours",
    )
