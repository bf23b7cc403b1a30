"""What a camera recorded at one moment, in the robot's frame: in a simulator, or in files."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class View:
    """rgb (H, W, 3) uint8; depth (H, W) float32 metres along the optical axis; intrinsics (3, 3) pixels, pixel centres
    at half-integers; extrinsics (4, 4) robot_from_camera with OpenCV axes.
    """

    rgb: np.ndarray
    depth: np.ndarray
    intrinsics: np.ndarray
    extrinsics: np.ndarray
