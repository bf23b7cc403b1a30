"""The statistics that a LeRobotDataset carries for each episode and for all of it, computed exactly.

As in lerobot 0.4.4 (`datasets/compute_stats.py`): of vectors over all frames of an episode; of images over some of
its frames, by channel, in 0..1, of an image of 300 pixels or more over every n-th row and column. There quantiles are
estimated, and those of the whole are means of the episodes'; here they are those of the values.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

QUANTILES = {"q01": 0.01, "q10": 0.10, "q50": 0.50, "q90": 0.90, "q99": 0.99}
Statistics = dict[str, Any]
"""min, max, mean, std (of the population), the quantiles: nested lists of the feature's shape; count: [values]."""


def of_rows(rows: np.ndarray) -> Statistics:
    """Of the rows (T,) or (T, n) of a feature: lists of length 1 or n."""
    values = np.asarray(rows, np.float64).reshape(len(rows), -1)
    found: Statistics = {
        "min": values.min(0).tolist(),
        "max": values.max(0).tolist(),
        "mean": values.mean(0).tolist(),
        "std": values.std(0).tolist(),
        "count": [len(values)],
    }
    cut = np.quantile(values, list(QUANTILES.values()), axis=0)
    return found | {name: row.tolist() for name, row in zip(QUANTILES, cut, strict=True)}


def sampled(length: int) -> set[int]:
    """Which frames of an episode are looked at for a camera's statistics."""
    count = max(min(100, length), min(int(length**0.75), 10_000))
    return set(np.round(np.linspace(0, length - 1, count)).astype(int).tolist())


class Levels:
    """How often each of 256 levels is seen in each channel, (3, 256) int64: all that the statistics need."""

    def __init__(self, counts: np.ndarray | None = None, pictures: int = 0) -> None:
        self.counts = np.zeros((3, 256), np.int64) if counts is None else np.asarray(counts, np.int64)
        self.pictures = pictures

    def add(self, picture: np.ndarray) -> None:
        """picture: (H, W, 3) uint8."""
        height, width = picture.shape[:2]
        every = 1 if max(height, width) < 300 else max(height, width) // 150
        some = picture[::every, ::every]
        for channel in range(3):
            self.counts[channel] += np.bincount(some[..., channel].ravel(), minlength=256)
        self.pictures += 1

    def __add__(self, other: Levels) -> Levels:
        return Levels(self.counts + other.counts, self.pictures + other.pictures)

    def plain(self) -> dict[str, Any]:
        return {"counts": self.counts.tolist(), "pictures": self.pictures}

    def statistics(self) -> Statistics:
        """Lists of shape (3, 1, 1), in 0..1."""
        levels = np.arange(256) / 255
        total = self.counts.sum(1)
        mean = self.counts @ levels / total
        spread = np.sqrt(np.maximum(self.counts @ levels**2 / total - mean**2, 0))
        below = self.counts.cumsum(1)
        found = {
            "min": levels[(self.counts > 0).argmax(1)],
            "max": levels[255 - (self.counts[:, ::-1] > 0).argmax(1)],
            "mean": mean,
            "std": spread,
        }
        for name, share in QUANTILES.items():
            found[name] = levels[(below >= share * total[:, None]).argmax(1)]
        return {name: value.reshape(3, 1, 1).tolist() for name, value in found.items()} | {"count": [self.pictures]}


def flat(statistics: Mapping[str, Statistics]) -> dict[str, Any]:
    """As columns of the table of episodes: `stats/FEATURE/mean`."""
    return {f"stats/{key}/{name}": value for key, one in statistics.items() for name, value in one.items()}
