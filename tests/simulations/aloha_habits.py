"""Where the postures of `envs.aloha.experts.habits` come from: `python -m tests.simulations.aloha_habits TASK`.

Of an expert's grasps and goals in forty beginnings, in the right arm's joints over the nearer half of the table: the
pair of postures to which those of every beginning come nearest, and then, four times, the median of those nearest ones.
For the tasks of long objects (pen, screwdriver, can opener). A minute of CPU each.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import numpy as np

from envs.aloha.experts import long_objects
from envs.aloha.experts.carry import Way
from envs.aloha.experts.episode import EXPERTS
from envs.aloha.experts.forces import Servo
from envs.aloha.experts.habits import HABITS, Habit
from envs.aloha.experts.kinematics import solutions
from envs.aloha.experts.pilot import Pilot
from envs.aloha.experts.transforms import lifted
from envs.aloha.experts.variety import Style
from envs.options import set_options
from envs.registry import make
from envs.spec import ObservationRequest

SEEDS = range(7000, 7040)
MOST_PAIRS = 4000
"""Of one beginning, drawn at random; there are up to some ten thousand."""
TRIED = 15
"""Pairs of each beginning that are tried as the one for all."""


def pairs(env: Any, task: str, seed: int, habit: Habit) -> np.ndarray:
    """(N, 12) joints before a grasp and above a goal that it leads to, of the arm that the habit prefers."""
    env.reset(seed)
    style = Style(np.random.default_rng(0), vary=False)
    pilot = Pilot(env, env.servo, style, lambda label: None, 1500, 1500)
    seen: list[tuple[str, list[Way]]] = []

    def look(ways: Callable[[], list[Way]], pilot: Pilot, name: str, receptacle: str) -> None:
        pilot.wait(0.3)
        seen.append((name, ways()))

    acts, long_objects.bring = long_objects.bring, look  # type: ignore[assignment]
    try:
        EXPERTS[task](pilot)
    finally:
        long_objects.bring = acts
    ((name, ways),) = seen
    pose = pilot.pose(name)
    arm = "right" if pose[0, 3] >= habit.right_from else "left"
    return np.array(
        [
            [*reached.joints * habit.side(arm, pose[:3, 3]), *joints * habit.side(arm, goal.pose[:3, 3])]
            for planner, goals_of in ways
            for reached in planner.reached(arm, pose, 200)
            for goal in goals_of(pose)
            for joints in solutions(arm, lifted(goal.pose @ reached.grasp.tool, planner.above))
        ]
    )


def nearest(per: list[np.ndarray], posture: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, float]:
    """The pair of each beginning that is nearest to a posture pair (12,), and how far they are in the mean."""
    far = [(np.abs(own - posture) * weights).sum(axis=1) for own in per]
    return np.array([own[at.argmin()] for own, at in zip(per, far, strict=True)]), float(
        np.mean([f.min() for f in far])
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("task", choices=["pen-in-container", "screwdriver-in-caddy", "can-opener-in-caddy"])
    task = parser.parse_args().task
    set_options("aloha", {"stand_ins": True, "variety": False})
    env: Any = make("aloha", task, ObservationRequest(("proprio",)))
    env.servo = Servo(env.assets)
    habit = HABITS[task]
    assert isinstance(habit, Habit)
    weights, draw = np.tile(habit.weights, 2), np.random.default_rng(0)
    per = []
    for seed in SEEDS:
        own = pairs(env, task, seed, habit)
        if not len(own):
            print(f"  {seed}: nothing that the preferred arm can do")
            continue
        per.append(own if len(own) <= MOST_PAIRS else own[draw.choice(len(own), MOST_PAIRS, replace=False)])
    tried = np.concatenate([own[draw.choice(len(own), min(len(own), TRIED), replace=False)] for own in per])
    best = min(tried, key=lambda one: nearest(per, one, weights)[1])
    for _ in range(4):
        best = np.median(nearest(per, best, weights)[0], axis=0)
    close, mean = nearest(per, best, weights)
    print(f"{task}, {len(per)} beginnings: grasp {best[:6].round(2).tolist()}, put {best[6:].round(2).tolist()}")
    print(
        f"  mean distance {mean:.2f}; of the nearest ones' joints the deviations {close.std(axis=0).round(2).tolist()}"
    )
    there = np.concatenate([habit.grasp, habit.put])
    print(f"  of the committed pair the mean distance is {nearest(per, there, weights)[1]:.2f}")


if __name__ == "__main__":
    main()
