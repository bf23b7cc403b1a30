"""What encoders cost beside their bare networks, grouping beside the fastest library, caching beside encoding."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmark.data.samples import Samples
from benchmark.encoders.certificates import distinct_methods
from benchmark.encoders.specs import encoder_specs
from benchmark.policy.build import make_policy
from benchmark.settings.load import load_head, load_settings
from benchmark.training.trainer import Trainer
from envs import views
from envs.metaworld import FIXED_VIEWS
from methods import pointops
from methods.base import Representation
from methods.preprocess import PointPreprocess, prepare_images
from methods.registry import method_class
from methods.verify import golden_inputs

BATCH = 25
"""Episodes of an evaluation."""


class Ready(nn.Module):
    """Takes a preprocessor's place and gives what it would have given."""

    def __init__(self, points: Tensor) -> None:
        super().__init__()
        self.points = points

    def forward(self, *_: Tensor) -> Tensor:
        return self.points


def measurable() -> list[str]:
    """Methods with a network, all of whose packages are here."""
    cards = [method_class(name).card for name in distinct_methods()]
    return [
        card.name
        for card in cards
        if card.parameters != 0 and all(importlib.util.find_spec(package) for package, _ in card.requires)
    ]


def encoding(name: str, repeats: int) -> tuple[float, float]:
    """Frames a second of `encode` and of the bare network on tensors that are ready, batches of 25, in turns."""
    kind = method_class(name)
    specs = encoder_specs(kind.card)
    torch.manual_seed(0)
    representation = kind(specs).eval()
    observations = golden_inputs(specs, BATCH)
    bare = _bare(representation, observations)
    ours, floor = [], []
    with torch.inference_mode():
        representation.encode({n: v[:1] for n, v in observations.items()})
        for _ in range(repeats):
            floor.append(_seconds(bare))
            ours.append(_seconds(lambda: representation.encode(observations)))
    return BATCH / min(ours), BATCH / min(floor)


def _bare(representation: Representation, observations: dict[str, Tensor]) -> Callable[[], Any]:
    whole: Any = representation
    if hasattr(representation, "image_input"):
        images = prepare_images(observations["rgb"].flatten(0, 1), whole.image_input)
        return lambda: whole.network(images)
    preprocess = getattr(representation, "preprocess", None)
    if isinstance(preprocess, PointPreprocess):
        ready = Ready(preprocess(observations["points"], observations["points_valid"]))

        def encode() -> None:
            whole.preprocess = ready
            try:
                whole.encode(observations)
            finally:
                whole.preprocess = preprocess

        return encode
    return lambda: whole.encode(observations)


def grouping() -> list[tuple[str, float, float]]:
    """(what, ours, library) in clouds a second for batches of 16 clouds of 1,024 points, one thread each."""
    import fpsample
    from scipy.spatial import cKDTree

    clouds = torch.rand(16, 1024, 3)
    arrays = list(clouds.numpy())
    centers = clouds[:, :512].contiguous()
    queries = list(centers.numpy())
    rows = [
        (
            "farthest 512 of 1,024, fpsample",
            lambda: pointops.farthest_points(clouds, 512),
            lambda: [fpsample.bucket_fps_kdline_sampling(a, 512, h=5, start_idx=0) for a in arrays],
        ),
        (
            "32 nearest of 512 centres, scipy",
            lambda: pointops.nearest(centers, clouds, 32),
            lambda: [cKDTree(a).query(q, 32) for a, q in zip(arrays, queries, strict=True)],
        ),
        (
            "balls of 0.2 around 512 centres, scipy",
            lambda: pointops.ball_query(centers, clouds, 0.2, 32),
            lambda: [cKDTree(a).query_ball_point(q, 0.2) for a, q in zip(arrays, queries, strict=True)],
        ),
    ]
    return [(what, 16 / _median(ours), 16 / _median(theirs)) for what, ours, theirs in rows]


def view_set() -> float:
    """Milliseconds of five views of 0.3 million points, after voxelisation."""
    points = np.random.default_rng(0).uniform([-0.6, 0.3, 0], [0.6, 0.9, 0.4], (views.MAX_POINTS, 3))
    points = points.astype(np.float32)
    cameras = np.stack([view.pose() for view in (*FIXED_VIEWS, *FIXED_VIEWS[1:])])
    return 1e3 * _median(lambda: views.render_views(points, cameras), 9)


def caching(frames: int = 64, epochs: int = 150) -> tuple[float, float]:
    """Seconds of `epochs` epochs of a CLIP policy on `frames` frames: encoded once, and encoded every epoch.

    The second is measured over two epochs and multiplied.
    """
    kind = method_class("clip")
    specs = encoder_specs(kind.card)
    settings = load_settings("metaworld-15", "clar", "mlp")
    representation = kind(specs)
    representation.freeze_as_card_says()
    policy = make_policy(load_head("mlp"), representation, 4, 4)
    inputs, actions = golden_inputs(specs, frames), torch.rand(frames, 4)
    trainer = Trainer(policy, settings.protocol, 0, frames, torch.device("cpu"), False)
    live = Samples(inputs, actions)
    every = _seconds(lambda: [trainer.train_epoch(live) for _ in range(2)]) / 2 * epochs
    start = time.perf_counter()
    with torch.inference_mode():
        feature = policy.encode_frozen(inputs)
    cached = Samples({"feature": feature.clone(), "proprio": inputs["proprio"]}, actions)
    for _ in range(epochs):
        trainer.train_epoch(cached)
    return time.perf_counter() - start, every


def _median(work: Callable[[], Any], repeats: int = 7) -> float:
    work()
    return float(np.median([_seconds(work) for _ in range(repeats)]))


def _seconds(work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
