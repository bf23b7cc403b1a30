"""Frames of CLAMP's pre-training, from a demonstration's states to the cache, against the bare rasterisers in them."""

from __future__ import annotations

import dataclasses
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.data.demos import Demos
from benchmark.data.observations import open_pool, render
from benchmark.pretrain.data.config import DataConfig
from benchmark.pretrain.data.simulated import TIMEOUT, collected
from benchmark.pretrain.data.triplets import request_of
from envs import views
from envs.registry import make
from envs.spec import ObservationRequest

FRAMES = 8
"""Of one demonstration, in each round."""


def rates(config: DataConfig, task: str, seconds: float) -> tuple[float, float, float]:
    """Frames a second of CPU time, of this process and its worker: ours, and two floors in this process.

    Ours restores states, draws depth, merges, crops and thins the cloud, draws the five views, and writes and checks
    the cache (`benchmark.data.observations`). The first floor restores the states and has `mujoco.Renderer` draw bare
    depth of the same cameras in the same size; the second draws the five views of ready clouds, too. All three in
    turns, until each has taken a third of the seconds or more.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        demos = collected(dataclasses.replace(config, demos=1, held_out=0), task, folder, 1)
        demos = demos.every(-(-demos.episodes.rows // FRAMES))
        request = request_of(config, config.cameras)
        pool, fingerprint = open_pool(config.kind, task, request, 1, None, TIMEOUT)
        with pool:
            depth, five = _bare(config, demos, request)

            def ours() -> None:
                render(folder / "round", demos, request, pool, fingerprint)

            kinds = ours, depth, five
            for work in kinds:  # what is made at first use
                work()
            spent, rounds = [0.0] * 3, [0] * 3
            while min(spent) < seconds / 3:
                for number, work in enumerate(kinds):
                    (folder / "round" / "complete.json").unlink(missing_ok=True)
                    (folder / "round" / "done.json").unlink(missing_ok=True)
                    before = _cpu_seconds()
                    work()
                    spent[number] += _cpu_seconds() - before
                    rounds[number] += 1
    rate, first, second = (demos.episodes.rows * n / s for n, s in zip(rounds, spent, strict=True))
    return rate, first, second


def _bare(
    config: DataConfig, demos: Demos, request: ObservationRequest
) -> tuple[Callable[[], None], Callable[[], None]]:
    """What draws bare depth of all frames, and what draws that and the five views of the clouds."""
    env: Any = make(config.kind, demos.task, dataclasses.replace(request, fields=("depth", "views")))
    env.reset(demos.seeds[0])
    import mujoco  # after the simulator has chosen what it draws with

    size, frame = (request.height, request.width), env.world.model.vis.global_
    frame.offheight, frame.offwidth = max(frame.offheight, size[0]), max(frame.offwidth, size[1])
    renderer = mujoco.Renderer(env.world.model, *size)
    renderer.enable_depth_rendering()
    flags = mujoco.mjtRndFlag
    off = (flags.mjRND_SHADOW, flags.mjRND_REFLECTION, flags.mjRND_SKYBOX, flags.mjRND_HAZE, flags.mjRND_FOG)
    out = np.empty(size, np.float32)
    states = demos.arrays["states"][:]

    def depth() -> None:
        for state in states:
            env.set_state(state)
            for camera in request.cameras:
                renderer.update_scene(env.world.data, camera=camera)
                for flag in off:
                    renderer.scene.flags[flag] = 0
                renderer.render(out=out)

    clouds, poses = [], []
    for state in states:
        env.set_state(state)
        seen = zip(env.sensors.cameras, env.observe()["depth"], strict=True)
        parts = [env.sensors.back_projection(number)(picture)[0] for number, picture in seen]
        clouds.append(views.cap(views.voxel_grid(np.concatenate(parts))))
        poses.append(env.sensors.virtual_poses())

    def five() -> None:
        depth()
        for cloud, pose in zip(clouds, poses, strict=True):
            views.render_views(cloud, pose, splat=request.splat)

    return depth, five


def _cpu_seconds() -> float:
    """Of this process and the processes that it has started. Linux."""
    total = time.process_time()
    for listed in Path("/proc/self/task").glob("*/children"):
        for pid in listed.read_text().split():
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            total += (int(fields[11]) + int(fields[12])) / 100  # user and system, in the kernel's ticks of 10 ms
    return total
