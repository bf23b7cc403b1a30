"""Depth images against rays that are cast through their pixels' centres."""

from __future__ import annotations

from typing import Any

import numpy as np

from envs.spec import Observation


def depth_errors(mujoco: Any, model: Any, data: Any, seen: Observation, step: int = 7, group: Any = None) -> np.ndarray:
    """|depth - ray| in metres of every `step`-th pixel in both directions that hits something, all cameras.

    seen: depth (V,H,W), intrinsics, extrinsics. group: six flags, the groups of shapes that are drawn.
    """
    found, hit = [], np.zeros(1, np.int32)
    for depth, inner, outer in zip(seen["depth"], seen["intrinsics"], seen["extrinsics"], strict=True):
        for row in range(step // 2, depth.shape[0], step):
            for column in range(step // 2, depth.shape[1], step):
                ray = np.linalg.inv(inner.astype(float)) @ [column + 0.5, row + 0.5, 1.0]
                length = np.linalg.norm(ray)
                way = outer[:3, :3].astype(float) @ (ray / length)
                far = mujoco.mj_ray(model, data, outer[:3, 3].astype(float), way, group, 1, -1, hit)
                if far >= 0 and np.isfinite(depth[row, column]):
                    found.append(abs(depth[row, column] - far / length))
    return np.array(found)
