"""How often the port's experts succeed, and those who should not: `python -m tests.simulations.rlbench_port` (minutes).

Markdown, successes of 20 episodes at each of three sizes of the objects. tests/envs/test_rlbench_port.py has the same
players with fewer episodes. `--speed`: seconds of 25 expert rollouts instead, with observations and without (a minute).
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np

from envs.expert import expert_episode
from envs.registry import make
from envs.rlbench_port.places import WORKSPACE
from envs.spec import ObservationRequest

HORIZON = 10
SCALES = (0.9, 1.0, 1.1)
STAY = (0, 0, 0, 0, 0, 0, 1)
Player = Callable[[Any, int, int, np.random.Generator], np.ndarray]
"""The action (8,) of an environment's n-th step in the episode of a seed."""


_elsewhere: dict[tuple[str, int], np.ndarray] = {}


def expert(env: Any, number: int, seed: int, draw: np.random.Generator) -> np.ndarray:
    return env.expert_action()


def noisy(deviation: float) -> Player:
    """The expert with its targets moved by so many metres (standard deviation along each axis)."""

    def act(env: Any, number: int, seed: int, draw: np.random.Generator) -> np.ndarray:
        action = env.expert_action()
        action[:3] += draw.normal(0, deviation, 3)
        return action

    return act


def nothing(env: Any, number: int, seed: int, draw: np.random.Generator) -> np.ndarray:
    return np.array([*STAY, 1], np.float32)


def close_gripper(env: Any, number: int, seed: int, draw: np.random.Generator) -> np.ndarray:
    return np.array([*STAY, 0], np.float32)


def until_contact(env: Any, number: int, seed: int, draw: np.random.Generator) -> np.ndarray:
    """The expert's way up to the object (with the lid or the can in the gripper), and nothing after."""
    before = 2 if env.task in ("close-box", "water-plants") else 1
    return env.expert_action() if number < before else np.array([*STAY, 0], np.float32)


def another_episode(env: Any, number: int, seed: int, draw: np.random.Generator) -> np.ndarray:
    """What the expert did in an episode with the object elsewhere: what can be had without looking."""
    key = env.task, seed % 10
    if key not in _elsewhere:
        other: Any = make("rlbench4-port", env.task, ObservationRequest(("proprio",)))
        _elsewhere[key] = expert_episode(other, 1_000 + key[1], HORIZON, 0)["actions"]
    actions = _elsewhere[key]
    return actions[number] if number < len(actions) else np.array([*STAY, actions[-1][7]], np.float32)


def random_poses(env: Any, number: int, seed: int, draw: np.random.Generator) -> np.ndarray:
    """Anywhere in the workspace, turned at random, opening or closing."""
    target = draw.uniform(*WORKSPACE)
    turn = draw.normal(size=4)
    return np.array([*(target - env.robot.tip()[0]), *turn / np.linalg.norm(turn), draw.integers(2)], np.float32)


def random_places(env: Any, number: int, seed: int, draw: np.random.Generator) -> np.ndarray:
    """Anywhere over the table, the hand as it is: most can be reached."""
    target = draw.uniform((0.3, -0.4, 0.05), (0.7, 0.4, 0.5))
    return np.array([*(target - env.robot.tip()[0]), 0, 0, 0, 1, draw.integers(2)], np.float32)


def play(env: Any, player: Player, seed: int, horizon: int = HORIZON) -> tuple[bool, str | None]:
    """One episode: success, and why the simulator ended it."""
    env.reset(seed)
    draw = np.random.default_rng([seed, 1])
    for number in range(horizon):
        step = env.step(player(env, number, seed, draw))
        if step.success or step.ended is not None:
            return step.success, step.ended
    return False, None


PLAYERS: dict[str, Player] = {
    "expert": expert,
    **{f"expert, targets {millimetres} mm off": noisy(millimetres / 1000) for millimetres in (5, 10, 20, 40)},
    "the expert of another episode": another_episode,
    "nothing": nothing,
    "gripper closed": close_gripper,
    "up to the object only": until_contact,
    "random poses": random_poses,
    "random places, hand as it is": random_places,
}


SEEING = ("rgb", "depth", "points", "points_valid", "point_colors", "proprio")


def speed(tasks: list[str], episodes: int = 25) -> None:
    """CPU seconds, of the main process. Without observations it is resets, plans and physics."""
    print("| task | rollouts | steps | with observations, s | without, s | ratio |\n|" + " --- |" * 6, flush=True)
    for task in tasks:
        spent, steps = [], 0
        for fields in (SEEING, ("proprio",)):
            env: Any = make("rlbench4-port", task, ObservationRequest(fields, ("front",)))
            play(env, expert, episodes)  # what is built at first use
            start, steps = time.process_time(), 0
            for seed in range(episodes):
                play(env, expert, seed)
                steps += env.played
            spent.append(time.process_time() - start)
            env.close()
        seeing, bare = spent
        print(f"| {task} | {episodes} | {steps} | {seeing:.1f} | {bare:.1f} | {seeing / bare:.2f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--episodes", type=int, default=20, help="of each size")
    parser.add_argument("--tasks", nargs="*", default=None)
    parser.add_argument("--speed", action="store_true")
    given = parser.parse_args()
    start = time.monotonic()
    blind = ObservationRequest(("proprio",))
    tasks = given.tasks or list(type(make("rlbench4-port", "close-box", blind)).tasks)
    if given.speed:
        speed(tasks)
        return
    print(f"| player | {' | '.join(tasks)} |\n|{' --- |' * (len(tasks) + 1)}", flush=True)
    for title, player in PLAYERS.items():
        cells = []
        for task in tasks:
            env: Any = make("rlbench4-port", task, blind)
            counts, ends = [], Counter()
            for scale in SCALES:
                env.scale = scale
                played = [play(env, player, seed) for seed in range(given.episodes)]
                counts.append(sum(success for success, _ in played))
                ends.update(ended for _, ended in played if ended)
            failed = f" ({', '.join(f'{count} {why}' for why, count in ends.items())})" if ends else ""
            cells.append(f"{' / '.join(map(str, counts))}{failed}")
        print(f"| {title} | {' | '.join(cells)} |", flush=True)
    print(f"\n{(time.monotonic() - start) / 60:.1f} minutes")


if __name__ == "__main__":
    main()
