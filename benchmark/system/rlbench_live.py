"""RLBench tried for real, in a process of its own with a time limit, judged by pixels and places, not by exit codes."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from benchmark.system.doctor import Finding
from envs.crop import Crop
from envs.pool import EnvConfig, Pool, WorkerDied, WorkerError
from envs.spec import ObservationRequest

TASK, SIZE = "close-box", 128
REQUEST = ObservationRequest(
    ("rgb", "depth", "intrinsics", "points", "points_valid", "proprio"),
    ("front",),
    height=SIZE,
    width=SIZE,
    num_points=4096,
    crop=Crop((0.0, -0.6, -0.1), (1.0, 0.6, 0.6)),
)
"""Of the front camera, with a crop that keeps the table's top, which is z = 0."""
FOCAL = 175.839
"""Pixels of the front camera at 128 x 128: 40 degrees, as 3D Diffuser Actor and PerAct publish it."""
SEEDS = (0, 1, 2)
STAY = np.array([0, 0, 0, 0, 0, 0, 1, 1], np.float32)
DOWN = np.array([0, 0, -0.05, 0, 0, 0, 1, 1], np.float32)
MEND = "bench doctor rlbench --json   # with this and the lines above on standard error, ask where you got it from"


class Wrong(Exception):
    """What the simulator does is not what RLBench does. The message says what was seen."""


def try_simulator(python: str | None, timeout: float) -> Finding:
    """One row. timeout: seconds for each answer; to be built, a simulator has at least 180. Never raises."""
    start = time.monotonic()
    try:
        with Pool(EnvConfig("rlbench", TASK, REQUEST, python), 1, timeout) as pool:
            said, repeated = _examine(pool)
    except Wrong as error:
        return Finding("simulator", "fail", str(error), MEND)
    except (WorkerError, WorkerDied) as error:
        return Finding("simulator", "fail", str(error).splitlines()[0], MEND)
    text = f"{said}; {time.monotonic() - start:.0f} s"
    if not repeated:
        found = f"it draws and moves, but the keyframes of {len(SEEDS)} demonstrations did not succeed: {text}"
        return Finding("simulator", "warn", found, "bench doctor rlbench   # again: its planner is not seeded")
    return Finding("simulator", "ok", f"it draws, moves, and repeats a demonstration by its keyframes: {text}")


def _examine(pool: Pool) -> tuple[str, bool]:
    """What draws, and whether a demonstration could be repeated. Raises `Wrong`."""
    pictures = [_first_moment(pool, seed) for seed in SEEDS]
    if all(np.array_equal(pictures[0], one) for one in pictures[1:]):
        raise Wrong(f"the images of {len(SEEDS)} episodes are the same: nothing is placed or drawn anew")
    if any(_ask(pool, "step", STAY)[1] for _ in range(2)):
        raise Wrong("the box is closed by an arm that stays where it is")
    _ask(pool, "reset", SEEDS[0])
    before = {name: array.copy() for name, array in pool.workers[0].observation.items()}
    ended = _ask(pool, "step", DOWN)[2]
    moved = pool.workers[0].observation["proprio"][7:10] - before["proprio"][7:10]
    if ended is not None or np.abs(moved - DOWN[:3]).max() > 0.01:
        said = f"the fingertips went {np.round(100 * moved, 1)} cm ({ended or 'no error'})"
        raise Wrong(f"told to go down by 5 cm, {said}")
    if np.array_equal(pool.workers[0].observation["rgb"], before["rgb"]):
        raise Wrong("the image did not change when the arm moved")
    said = str(_ask(pool, "fingerprint"))
    if not any(f"CoppeliaSim {known}" in said for known in ("4.1.", "unknown")):
        raise Wrong(f"PyRep is made for CoppeliaSim 4.1, and this is another: {said}")
    return said, any(_repeats(pool, seed) for seed in SEEDS)


def _first_moment(pool: Pool, seed: int) -> np.ndarray:
    """The front camera's image (H, W, 3), after everything in it was looked at. Raises `Wrong`."""
    _ask(pool, "reset", seed)
    seen = pool.workers[0].observation
    rgb, depth, focal = seen["rgb"][0], seen["depth"][0], float(seen["intrinsics"][0, 0, 0])
    if rgb.std() < 8 or not 10 < rgb.mean() < 245:
        raise Wrong(f"the front image is no scene: mean {rgb.mean():.0f}, deviation {rgb.std():.0f} of 255")
    hit = depth[np.isfinite(depth)]
    if hit.size < 0.2 * depth.size or hit.min() < 0.05:
        raise Wrong(f"the front depth is no scene: {hit.size} of {depth.size} pixels hit something")
    if abs(focal - FOCAL) > 0.01 * FOCAL:
        raise Wrong(f"the front camera has a focal length of {focal:.1f} pixels, and RLBench's {FOCAL}")
    heights = seen["points"][seen["points_valid"]][:, 2]
    share = float(np.mean(np.abs(heights) < 0.02)) if len(heights) else 0.0
    if share < 0.1:
        raise Wrong(f"{share:.0%} of the cloud's points are at the table's height: depth or poses are not as expected")
    return rgb.copy()


def _repeats(pool: Pool, seed: int) -> bool:
    """Whether a live demonstration, as keyframes, succeeds from the same seed. Its planner's draws may differ."""
    episode = _ask(pool, "expert_episode", seed, 25, 0)
    if episode["failed"]:
        return False
    _ask(pool, "reset", seed)
    for action in episode["actions"]:
        _, success, ended = _ask(pool, "step", action)
        if success or ended is not None:
            return bool(success)
    return False


def _ask(pool: Pool, command: str, *arguments: Any) -> Any:
    pool.workers[0].ask(command, *arguments)
    return pool.ready(pool.workers)[0].answer()
