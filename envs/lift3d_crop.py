"""Lift3D's crop of MetaWorld's clouds, as boxes over points in the true robot frame.

Lift3D (PKU-HMI-Lab/LIFT3D b0cff85, `lift3d/envs/metaworld_env.py` and `lift3d/helpers/mujoco.py`) multiplies what a
camera sees by the inverse of the camera's rotation, where the rotation itself would lead to the world, and then by a
3 x 3 matrix T written into the code for each camera. So its frame is not the robot's. With R and c the camera's true
rotation (OpenCV axes, the image as MuJoCo draws it) and place, it sees a point p of the robot's frame at
T R^T R^T (p - c):

- `corner`: a mirror image in x (determinant -1) turned by 4.6 degrees about the vertical, tilted by 0.17 degrees;
- `corner2`: the robot's axes but for 0.3 degrees, tilted by 0.20 degrees;
- both have their origin at the camera, 0.6 and 1.1 m above the table.

The crop is an axis-aligned box in that frame, so an oriented one here. Its floor is the table's height, but the tilt
lifts the table's top over it, by 4 mm on `corner` and 5 mm on `corner2` in the middle: unlike this benchmark's own crop
it keeps the table. Only the crop is taken over: points stay where they are. Not taken over are two slips before it,
which move Lift3D's points by millimetres: pixels taken at their corner instead of their middle, and depth resolved from
several samples. There are no matrices for other cameras, and the box of its own that Lift3D has for the task basketball
is left out.
"""

from __future__ import annotations

from envs.crop import Crop, NamedCrop

CORNER = Crop(
    low=(-1.66, 0.8, -0.6),
    high=(-0.48, 1.38, 10.0),
    frame=(
        (-0.99681806, 0.07968671, 0.00194578, -1.06579265),
        (0.07968226, 0.99681773, -0.00227089, 0.48774011),
        (0.00212054, 0.00210863, 0.99999553, -0.59682127),
    ),
)
CORNER2 = Crop(
    low=(-1.97, 0.45, -1.1),
    high=(-0.73, 1.08, 10.0),
    frame=(
        (0.99998914, -0.00364368, 0.00290514, -1.30391027),
        (0.0036495, 0.99999135, -0.00199855, 0.19745233),
        (-0.00289783, 0.00200913, 0.99999379, -1.09582416),
    ),
)
LIFT3D = NamedCrop("lift3d", (("corner", CORNER), ("corner2", CORNER2)))
