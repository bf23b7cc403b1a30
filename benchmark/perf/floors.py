"""Bare loops of the simulator, and the loop that the field uses now. None of our code is in them."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.synchronize import Barrier
from typing import Any

import numpy as np

CAMERA, SIZE = "corner", 224
STARTING = 180.0
"""Seconds that the processes have until all are ready."""
SHARED: list[Barrier] = []
"""In each process that is measured: where they wait for each other."""


def bare_loop(together: Callable[[], Any], task: str, image: str, seconds: float, horizon: int) -> float:
    """Steps per second of physics with zero actions and one render a step, in this process.

    together: returns when every process that is measured is ready.

    horizon: steps of an episode. Each is begun as every rollout has to: a reset, and an image before the first step,
    which is no step of its own.

    image: `depth` (mujoco.Renderer with everything off that depth does not need), `rgb-paper` (the simulator's
    default quality), `rgb-fast` (no multisampling, shadows or reflections).
    """
    env = _metaworld(task)
    import mujoco

    model, data = env.model, env.data
    plain = image != "rgb-paper"
    if plain:
        model.vis.quality.offsamples = 0
    renderer = mujoco.Renderer(model, SIZE, SIZE)
    if image == "depth":
        renderer.enable_depth_rendering()
    off = [mujoco.mjtRndFlag.mjRND_SHADOW, mujoco.mjtRndFlag.mjRND_REFLECTION] if plain else []
    if image == "depth":
        off += [mujoco.mjtRndFlag.mjRND_SKYBOX, mujoco.mjtRndFlag.mjRND_HAZE, mujoco.mjtRndFlag.mjRND_FOG]
    action, steps = np.zeros(4), 0

    def draw() -> None:
        renderer.update_scene(data, camera=CAMERA)
        for flag in off:
            renderer.scene.flags[flag] = 0
        renderer.render()

    draw()  # the first one makes what the others use
    together()
    start = time.perf_counter()
    while time.perf_counter() - start < seconds:
        if steps % horizon == 0:
            env.reset()
            draw()
        env.step(action)
        draw()
        steps += 1
    rate = steps / (time.perf_counter() - start)
    renderer.close()
    return rate


def naive_loop(together: Callable[[], Any], task: str, seconds: float) -> float:
    """Steps per second of the loop in public code: one environment, colour rendered twice and depth once at the
    default quality through gymnasium's renderer, farthest-point sampling in numpy, an unbatched encode, no early stop.

    together: as in `bare_loop`.
    """
    env = _metaworld(task)
    import torch
    from gymnasium.envs.mujoco.mujoco_rendering import MujocoRenderer

    from baselines.dp3 import DP3
    from envs import points
    from envs.camera import extrinsics_from_mujoco, intrinsics_from_fovy
    from envs.metaworld import WORKSPACE, MetaWorld
    from envs.spec import ObservationRequest

    viewer = MujocoRenderer(env.model, env.data, None, SIZE, SIZE, camera_name=CAMERA)
    request = ObservationRequest(fields=("points", "points_valid"), cameras=(CAMERA,))
    encoder = DP3(MetaWorld.specs(request)).eval()
    camera = env.model.camera(CAMERA).id
    near = env.model.vis.map.znear * env.model.stat.extent
    far = env.model.vis.map.zfar * env.model.stat.extent
    together()
    steps, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds or steps < 10:
        env.step(np.zeros(4))
        viewer.render("rgb_array")
        viewer.render("rgb_array")
        buffer = np.asarray(viewer.render("depth_array"))
        depth = (near / (1 - buffer * (1 - near / far))).astype(np.float32)
        project = points.BackProjection(
            intrinsics_from_fovy(float(env.model.cam_fovy[camera]), SIZE, SIZE),
            extrinsics_from_mujoco(env.data.cam_xpos[camera], env.data.cam_xmat[camera]),
            SIZE,
            SIZE,
            WORKSPACE,
        )
        cloud, _ = project(depth)
        chosen = points.sample(cloud, 1024, "exact")
        padded, valid = points.pad(cloud[chosen], 1024)
        with torch.no_grad():
            encoder.encode({"points": torch.from_numpy(padded)[None], "points_valid": torch.from_numpy(valid)[None]})
        steps += 1
        if steps % 200 == 0:
            env.curr_path_length = 0
    rate = steps / (time.perf_counter() - start)
    viewer.close()
    return rate


def in_processes(count: int, loop: Any, *arguments: Any) -> float:
    """Sum of `loop(together, *arguments)` over `count` fresh processes, whose loops begin at the same moment.

    One that began while the others still import would have their cores for a while, and the sum would be a rate that
    the machine does not have.
    """
    spawn = multiprocessing.get_context("spawn")
    kept = {name: os.environ.get(name) for name in ("LP_NUM_THREADS", "OMP_NUM_THREADS")}
    os.environ.update(LP_NUM_THREADS="0", OMP_NUM_THREADS="1")
    try:
        barrier = spawn.Barrier(count, timeout=STARTING)
        with ProcessPoolExecutor(count, spawn, _share, (barrier,)) as pool:
            return sum(f.result() for f in [pool.submit(_measured, loop, *arguments) for _ in range(count)])
    finally:
        for name, value in kept.items():
            if value is None:
                os.environ.pop(name)
            else:
                os.environ[name] = value


def _share(barrier: Barrier) -> None:
    SHARED.append(barrier)


def _measured(loop: Any, *arguments: Any) -> float:
    try:
        return float(loop(SHARED[0].wait, *arguments))
    except BaseException:
        SHARED[0].abort()  # the others wait for this one
        raise


def _metaworld(task: str) -> Any:
    from envs.render import choose_backend

    choose_backend()
    from metaworld.env_dict import ALL_V3_ENVIRONMENTS

    env = ALL_V3_ENVIRONMENTS[f"{task}-v3"]()
    env._freeze_rand_vec, env._set_task_called, env.seeded_rand_vec = False, True, True
    env.seed(0)
    env.reset()
    return env
