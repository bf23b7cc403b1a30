"""What an action of ALOHA says: joint targets, as aloha_sim's and CLAMP's own, or where the tools go (CLAMP, Table IV).

    cartesian            of each arm: the tool's place 3, metres, and rotation 4, a quaternion, world frame; the gripper
    relative-cartesian   by how much and how both differ from those of the last targets, along and about world axes

The paper names "absolute" and "relative Cartesian control" and says no more. Chosen here:

- The tool is that of `envs.aloha.experts.kinematics`, whose closed form turns it into joint targets: of its solutions
  the one whose largest change from the last targets is least. Where there is none, the arm keeps its last targets.
- Relative is to the last targets and not to where the arm is: so absolute and relative actions of a demonstration are
  the same motion, and what the arm lags behind is not added up. Nothing corrects what a policy adds up.
- Grippers are absolute in all three. Proprio stays joints: the paper changes the action alone.
- Of a quaternion and its opposite, which are one rotation, the nearer to a fixed one: the tool's at home of absolute
  ones, no turn of relative ones.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from envs.action_parts import ActionPart
from envs.aloha.experts.kinematics import follow, forward
from envs.aloha.experts.transforms import transform
from envs.aloha.options import ABSOLUTE, BY_JOINTS, RELATIVE
from envs.aloha.places import ARMS, GRIPPER_CLOSED, GRIPPER_OPEN, HIGH, HOME, JOINTS, LOW
from envs.rotations import from_matrix, nearer, to_matrix
from envs.spec import ActionSpec

LOWEST, HIGHEST = (-1.3, -0.9, -0.7), (1.3, 0.9, 1.0)
"""Metres, world frame: all that an arm's joints can ask for lies inside, also under the table's top."""
FASTEST = 0.1
"""Metres that a relative action moves a tool, along each axis: 5 m/s, more than the joints do."""
OUTSIDE, STRETCH = 0.01, 1e-5
"""Radians that solutions may lie outside the joints' limits, to which they are clipped, and what is taken for a
stretched arm (`kinematics.solutions`): there, an action's rounding to float32 decides whether there is a solution."""
SHORTEST = 1e-3
"""Length of a quaternion below which it says no rotation."""
NO_ROTATION = "a quaternion that says no rotation"
_AT_HOME = {arm: from_matrix(forward(arm, HOME)[:3, :3]) for arm in ARMS}
_NO_TURN = np.array([0.0, 0.0, 0.0, 1.0])


def _joints() -> ActionSpec:
    return ActionSpec(
        names=tuple(f"{arm}_{joint}" for arm in ARMS for joint in (*JOINTS, "gripper")),
        low=(*LOW.tolist(), GRIPPER_CLOSED) * 2,
        high=(*HIGH.tolist(), GRIPPER_OPEN) * 2,
        unit="rad",
        parts=(
            ActionPart("left_joints", 0, 6, "joint", "rad"),
            ActionPart("left_gripper", 6, 7, "gripper", "rad of the servo"),
            ActionPart("right_joints", 7, 13, "joint", "rad"),
            ActionPart("right_gripper", 13, 14, "gripper", "rad of the servo"),
        ),
    )


def _tools(kind: str, low: tuple[float, ...], high: tuple[float, ...], what: str) -> ActionSpec:
    parts = [
        part
        for number, arm in enumerate(ARMS)
        for part in (
            ActionPart(f"{arm}_place", 8 * number, 8 * number + 3, kind, "m", "world"),
            ActionPart(f"{arm}_rotation", 8 * number + 3, 8 * number + 7, "quaternion", "", "world"),
            ActionPart(f"{arm}_gripper", 8 * number + 7, 8 * number + 8, "gripper", "rad of the servo"),
        )
    ]
    names = (*(f"{what}{axis}" for axis in "xyz"), "qx", "qy", "qz", "qw", "gripper")
    return ActionSpec(
        names=tuple(f"{arm}_{name}" for arm in ARMS for name in names),
        low=(*low, -1.0, -1.0, -1.0, -1.0, GRIPPER_CLOSED) * 2,
        high=(*high, 1.0, 1.0, 1.0, 1.0, GRIPPER_OPEN) * 2,
        unit="m, quaternion, rad",
        parts=tuple(parts),
    )


SPECS: Mapping[str, ActionSpec] = {
    BY_JOINTS: _joints(),
    ABSOLUTE: _tools("position", LOWEST, HIGHEST, ""),
    RELATIVE: _tools("delta", (-FASTEST,) * 3, (FASTEST,) * 3, "d"),
}


def action_of(control: str, targets: np.ndarray, last: np.ndarray) -> np.ndarray:
    """The action (A,) float32 that asks for joint targets (14,) float32 after the last ones (14,)."""
    if control == BY_JOINTS:
        return targets
    found: list[float] = []
    for number, arm in enumerate(ARMS):
        joints = slice(7 * number, 7 * number + 6)
        tool = forward(arm, targets[joints].astype(np.float64))
        place, turn, usual = tool[:3, 3], tool[:3, :3], _AT_HOME[arm]
        if control == RELATIVE:
            before = forward(arm, last[joints])
            place, turn, usual = place - before[:3, 3], turn @ before[:3, :3].T, _NO_TURN
        found += [*place, *nearer(from_matrix(turn), usual), targets[7 * number + 6]]
    return np.array(found, np.float32)


def targets_of(control: str, action: np.ndarray, last: np.ndarray) -> np.ndarray | None:
    """Joint targets (14,) float64 of an action (A,) after the last ones (14,); None for a quaternion of no length."""
    wanted = action.astype(np.float64)
    if control == BY_JOINTS:
        return wanted
    spec, found = SPECS[control], last.copy()
    clipped = np.clip(wanted, spec.low, spec.high)
    for number, arm in enumerate(ARMS):
        first, joints = 8 * number, slice(7 * number, 7 * number + 6)
        quaternion = wanted[first + 3 : first + 7]
        if (length := float(np.linalg.norm(quaternion))) < SHORTEST:
            return None
        place, turn = clipped[first : first + 3], to_matrix(quaternion / length)
        if control == RELATIVE:
            before = forward(arm, last[joints])
            place, turn = before[:3, 3] + place, turn @ before[:3, :3]
        solution = follow(arm, transform(turn, place), last[joints], -OUTSIDE, STRETCH)
        if solution is not None:
            found[joints] = np.clip(solution, LOW, HIGH)
        found[7 * number + 6] = clipped[first + 7]
    return found
