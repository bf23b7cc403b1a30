"""The fields that an observation can have, and what each of them is."""

from __future__ import annotations

from collections.abc import Mapping

FIELD_NAMES: Mapping[str, str] = {
    "rgb": "(V,H,W,3) uint8, upright and unmirrored",
    "depth": "(V,H,W) float32, metres along the optical axis, inf where nothing is hit",
    "intrinsics": "(V,3,3) float32, pixels; pixel centres lie at half-integers",
    "extrinsics": "(V,4,4) float32, robot_from_camera, OpenCV axes (x right, y down, z forward)",
    "points": "(N,3) float32, metres, robot base frame, z up; rows with points_valid False are zero",
    "points_valid": "(N,) bool, False where a row of points is padding",
    "point_colors": "(N,3) uint8",
    "views": "(5,224,224,4) float32, depth, x, y, z in metres of virtual cameras, x, y, z in the robot frame; the "
    "layout `dome` has (16,96,96,4)",
    "views_valid": "(5,224,224) bool, False where no point is seen",
    "proprio": "(S,) float32, each simulator's spec names the entries",
    "ground_truth": "(G,) float32, simulator state a policy could not see on a robot",
}
