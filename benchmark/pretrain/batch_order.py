"""Which frames make up which batch: a pure function of the seed, so that training continued is training undisturbed.

A source's frames come in passes; a pass takes every frame once, in rounds that take one frame of each trajectory, so
that no batch has two near-copies, which contrast would push apart. Sources are mixed by fixed counts in every batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from benchmark.settings import seeds
from benchmark.system.errors import ConfigError


def batches(
    sources: Sequence[tuple[str, np.ndarray, Sequence[str]]], weights: Mapping[str, float], size: int, seed: int
) -> Iterator[np.ndarray]:
    """Endless batches of `size` frame numbers.

    sources: name, numbers of its frames (n,), and the trajectory of each. weights: a source's share of a batch is
    its number of frames times this.
    """
    counts = shares([len(frames) * weights[name] for name, frames, _ in sources], size)
    streams = [
        stream(frames, trajectories, count, seeds.training_seed(seed, f"pretrain {name}"))
        for (name, frames, trajectories), count in zip(sources, counts, strict=True)
        if count
    ]
    while True:
        yield np.concatenate([next(part) for part in streams])


def shares(weights: Sequence[float], size: int) -> list[int]:
    """`size` split in proportion to `weights`; what rounding leaves goes to the largest remainders."""
    exact = np.asarray(weights, float) * size / sum(weights)
    counts = np.floor(exact).astype(int)
    for index in np.argsort(counts - exact, kind="stable")[: size - counts.sum()]:
        counts[index] += 1
    if (counts == 0).any():
        raise ConfigError(
            f"a batch of {size} has no room for a source whose share is {min(exact):.2f} frames; raise its weight or "
            "the batch, or leave it out"
        )
    return [int(count) for count in counts]


def stream(frames: np.ndarray, trajectories: Sequence[str], count: int, seed: int) -> Iterator[np.ndarray]:
    """Endless groups of `count` frames. All of different trajectories while there are at least twice as many."""
    by_trajectory: dict[str, list[int]] = {}
    for frame, name in zip(frames, trajectories, strict=True):
        by_trajectory.setdefault(name, []).append(int(frame))
    names = sorted(by_trajectory)
    pending: list[tuple[str, int]] = []
    number = 0
    while True:
        rng = np.random.default_rng([seed, number])
        order = {name: rng.permutation(by_trajectory[name]) for name in names}
        for turn in range(max(len(rows) for rows in order.values())):
            present = [names[i] for i in rng.permutation(len(names)) if len(order[names[i]]) > turn]
            waiting = {name for name, _ in pending}
            fresh = [name for name in present if name not in waiting]
            late = [name for name in present if name in waiting]
            pending += [(name, int(order[name][turn])) for name in fresh + late]
            while len(pending) >= count:
                yield np.array([frame for _, frame in pending[:count]])
                pending = pending[count:]
        number += 1
