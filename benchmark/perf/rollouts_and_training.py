"""What is measured against the floors: rollouts, training, point clouds, memory."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from benchmark.data.samples import Samples
from benchmark.experiment.rollout import PolicyFunction, rollout
from benchmark.policy.act import act
from benchmark.policy.build import make_head
from benchmark.policy.policy import HeadPolicy
from benchmark.settings import seeds
from benchmark.settings.load import load_head, load_settings
from benchmark.training.trainer import Trainer
from envs import points
from envs.metaworld import MetaWorld
from envs.pool import EnvConfig, Pool
from envs.registry import make
from envs.spec import ObservationRequest
from methods.registry import method_class

POINTS = ("points", "points_valid", "proprio")
HORIZON = 200
EPOCHS = 7
"""Of training that are timed, each between two of the bare loop."""
CLOUDS = 5000
"""Of the data set with which this process's memory is measured."""


def request_for(fields: tuple[str, ...], render: str = "paper") -> ObservationRequest:
    return ObservationRequest(fields=fields, cameras=("corner",), render=render)


def horizon_of(request: ObservationRequest, seconds: float) -> int:
    """Steps of an episode that is timed, so that at least one round fits."""
    return 20 if seconds < 2 else 60 if _slow(request) else HORIZON


def _slow(request: ObservationRequest) -> bool:
    return request.colour and request.render == "paper"


def zero_actions(observations: dict[str, np.ndarray], _: object = None) -> np.ndarray:
    """The free policy."""
    return np.zeros((len(observations["proprio"]), 4), np.float32)


def dp3_policy() -> PolicyFunction:
    """An untrained DP3 policy: it costs what a trained one costs."""
    policy = _policy("dp3").eval()
    return lambda observations, memories: act(policy, observations, memories, torch.device("cpu"), False)


def rollouts(
    task: str,
    request: ObservationRequest,
    workers: int,
    policy: PolicyFunction,
    seconds: float,
) -> dict[str, float]:
    """Steps per second over whole episodes, resets included, and the largest worker in MB."""
    with Pool(EnvConfig("metaworld", task, request), workers) as pool:
        slow, horizon = _slow(request), horizon_of(request, seconds)
        rollout(pool, policy, seeds.retest_seeds("perf", task, workers), 5, "last-step")
        threads = torch.get_num_threads()
        torch.set_num_threads(1)  # as rollouts on a CPU do
        steps, start = 0, time.perf_counter()
        while time.perf_counter() - start < seconds:
            chosen = seeds.retest_seeds("perf", task, workers if slow else 6 * workers)  # as many as an evaluation
            episodes = rollout(pool, policy, chosen, horizon, "last-step", together=False)
            steps += sum(e.steps for e in episodes)
        torch.set_num_threads(threads)
        rate = steps / (time.perf_counter() - start)
        for worker in pool.workers:
            worker.ask("memory")
        return {"rate": rate, "worker_mb": max(worker.answer() for worker in pool.workers) / 1e6}


def training(method: str, batches: int) -> tuple[float, float]:
    """Seconds a step of our loop and of a bare forward/backward/step of the same network on the same batches.

    Both train one policy with one optimiser, in turns, epoch by epoch: ours between two of the bare loop, so that the
    machine's drift is in both. Of these rounds the one with the middle ratio is returned.
    """
    rows = 16 * batches
    samples = Samples(
        {
            "points": torch.rand(rows, 1024, 3),
            "points_valid": torch.ones(rows, 1024, dtype=torch.bool),
            "proprio": torch.rand(rows, 4),
        },
        torch.rand(rows, 4),
    )
    settings = load_settings("metaworld-15", "clar", "mlp")
    policy = _policy(method).train()
    trainer = Trainer(policy, settings.protocol, 0, 16, torch.device("cpu"), False)
    optimizer = trainer.optimizer
    ready = [samples.batch(torch.arange(i, i + 16), torch.device("cpu")) for i in range(0, rows, 16)]

    def bare() -> None:
        for inputs, actions, _ in ready:
            optimizer.zero_grad(set_to_none=True)
            functional.mse_loss(policy.head(policy.encode(inputs), inputs["proprio"]), actions).backward()
            optimizer.step()

    bare()  # the first pass allocates
    rounds, before = [], _seconds(bare)
    for _ in range(EPOCHS):
        ours = _seconds(lambda: trainer.train_epoch(samples))
        after = _seconds(bare)
        rounds.append((ours / batches, (before + after) / 2 / batches))
        before = after
    return sorted(rounds, key=lambda one: one[1] / one[0])[EPOCHS // 2]


def plain_max(batches: int) -> tuple[float, float]:
    """Seconds of a DP3 step with the gradient of the winning points alone, and with the plain maximum."""
    from methods import pooling

    cloud = torch.rand(16, 1024, 3)
    policy = _policy("dp3").train()
    network: Any = policy.representation.network

    def ours() -> None:
        pooling.pointwise_max(network, cloud).sum().backward()

    def plain() -> None:
        network(cloud).amax(dim=1).sum().backward()

    fast, slow = [], []
    for _ in range(batches):
        slow.append(_seconds(plain))
        fast.append(_seconds(ours))
    return float(np.median(fast)), float(np.median(slow))


def point_cloud_share(task: str) -> tuple[float, float]:
    """Seconds of back-projection, crop and sampling of one depth image, and of a whole point-cloud step."""
    env: Any = make("metaworld", task, request_for((*POINTS, "depth")))
    depth = env.reset(0)["depth"][0]
    project = env.sensors.back_projection(env.sensors.cameras[0])

    def cloud() -> None:
        inside, _ = project(depth)
        points.pad(inside[points.sample(inside, 1024, "bucket")], 1024)

    action = np.zeros(4, np.float32)
    for _ in range(5):
        cloud()
        env.step(action)
    one = float(np.median([_seconds(cloud) for _ in range(60)]))
    step = float(np.median([_seconds(lambda: env.step(action)) for _ in range(60)]))
    env.close()
    return one, step


def parent_memory() -> float:
    """Peak MB of this process after holding and training on a point-cloud data set of `CLOUDS` frames."""
    samples = Samples(
        {
            "points": torch.rand(CLOUDS, 1024, 3),
            "points_valid": torch.ones(CLOUDS, 1024, dtype=torch.bool),
            "proprio": torch.rand(CLOUDS, 4),
        },
        torch.rand(CLOUDS, 4),
    )
    settings = load_settings("metaworld-15", "clar", "mlp")
    policy = _policy("dp3")
    policy.representation.fit(samples.inputs)
    trainer = Trainer(policy, settings.protocol, 0, 256, torch.device("cpu"), False)
    trainer.train_epoch(samples)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def _policy(method: str) -> HeadPolicy:
    representation = method_class(method)(MetaWorld.specs(request_for(POINTS)))
    return HeadPolicy(representation, make_head(load_head("mlp"), representation.feature_dim, 4, 4))


def _seconds(work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
