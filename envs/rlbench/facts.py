"""What is known of RLBench without it: tasks, instructions, cameras, the state and the action, the versions meant."""

from __future__ import annotations

from envs.action_parts import ActionPart
from envs.spec import ActionSpec

RLBENCH_COMMIT = "02720bb"
"""stepjam/RLBench, January 2025, which calls itself 1.2.0."""
PYREP_COMMIT = "8f420be"
"""stepjam/PyRep, July 2024, which calls itself 4.1.0.3; the tag of that name is code of 2021."""

TASKS: dict[str, tuple[str, str]] = {
    "close-box": ("close_box", "close the lid on the box"),
    "close-laptop-lid": ("close_laptop_lid", "shut the laptop lid"),
    "toilet-seat-down": (
        "toilet_seat_down",
        "grip the edge of the toilet lid and lower it flat on the toilet seat",
    ),
    "water-plants": ("water_plants", "pick up the watering can by its handle and water the plant"),
}
"""RLBench's name of each task, and the longest of its descriptions (Lift3D's choice), as `reset` gives them."""

CAMERAS = ("front", "left_shoulder", "right_shoulder", "overhead", "wrist")

PROPRIO_NAMES = (
    *(f"joint{number}_rad" for number in range(1, 8)),
    "tip_x_m",
    "tip_y_m",
    "tip_z_m",
    "tip_qx",
    "tip_qy",
    "tip_qz",
    "tip_qw",
    "gripper_open_0_1",
)

ACTION = ActionSpec(
    names=("dx", "dy", "dz", "dqx", "dqy", "dqz", "dqw", "gripper"),
    low=(-1.5, -1.5, -1.5, -1.0, -1.0, -1.0, -1.0, 0.0),
    high=(1.5, 1.5, 1.5, 1.0, 1.0, 1.0, 1.0, 1.0),
    unit="m, quaternion, 1 opens",
    parts=(
        ActionPart("position", 0, 3, "delta", "m", "robot"),
        ActionPart("rotation", 3, 7, "quaternion", "x, y, z, w", "robot"),
        ActionPart("gripper", 7, 8, "gripper", "open above 0.5"),
    ),
)
"""As `rlbench4-port` has it, so that one policy fits both."""

NOT_REPLAYABLE = (
    "a seed sets numpy's generator, which places the objects, and not CoppeliaSim's own (inverse kinematics, path "
    "planning): the same seed and actions may lead elsewhere"
)
