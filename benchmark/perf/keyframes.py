"""Rollouts of keyframes against a bare loop of the same episodes: planning, physics, and one depth render a step."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from envs.registry import make
from envs.spec import ObservationRequest

ENV, CAMERA, SIZE = "rlbench4-port", "front", 224
CLOUD = ("points", "points_valid", "proprio")
MOST = 10
"""Steps of an episode; experts take at most 5."""


def rates(task: str, seconds: float) -> tuple[float, float]:
    """Moments seen per second of CPU time, resets included, by the expert: ours with a cloud, and the bare loop.

    Both play the same episodes in turns, one and one, until each has taken half of the seconds, so that the machine's
    drift is in both. In the bare loop the simulator observes nothing but joints, and `mujoco.Renderer` draws one depth
    image of each moment, of the same size, with everything off that depth does not need.
    """
    seeing: Any = make(ENV, task, ObservationRequest(CLOUD, (CAMERA,), height=SIZE, width=SIZE))
    blind: Any = make(ENV, task, ObservationRequest(("proprio",)))
    draw = _bare_render(blind)
    _play(seeing, 0, lambda: None)  # what is made at first use
    _play(blind, 0, draw)
    spent, moments, seed = [0.0, 0.0], 0, 1
    while min(spent) < seconds / 2:
        for number, (env, look) in enumerate(((seeing, lambda: None), (blind, draw))):
            start = time.process_time()
            count = _play(env, seed, look)
            spent[number] += time.process_time() - start
        moments, seed = moments + count, seed + 1
    seeing.close()
    return moments / spent[0], moments / spent[1]


def _play(env: Any, seed: int, look: Callable[[], None]) -> int:
    env.reset(seed)
    look()
    for step in range(MOST):
        done = env.step(env.expert_action())
        look()
        if done.success or done.ended is not None:
            return step + 2
    return MOST + 1


def _bare_render(env: Any) -> Callable[[], None]:
    import mujoco

    env.model.vis.quality.offsamples = 0
    renderer = mujoco.Renderer(env.model, SIZE, SIZE)
    renderer.enable_depth_rendering()
    flags = mujoco.mjtRndFlag
    off = (flags.mjRND_SHADOW, flags.mjRND_REFLECTION, flags.mjRND_SKYBOX, flags.mjRND_HAZE, flags.mjRND_FOG)
    out = np.empty((SIZE, SIZE), np.float32)

    def draw() -> None:
        renderer.update_scene(env.robot.data, camera=CAMERA)
        for flag in off:
            renderer.scene.flags[flag] = 0
        renderer.render(out=out)

    return draw
