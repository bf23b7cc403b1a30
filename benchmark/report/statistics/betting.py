"""Evidence that may be looked at after every batch: two sets of checkpoints on the same episodes."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping

import numpy as np

NODES = 2_048


def evidence(differences: Iterable[float]) -> float:
    """An e-value of values in -1..1 with mean zero: it ever reaches 1 / alpha with a probability of at most alpha.

    differences: one for each episode of each task, the first's mean over its checkpoints minus the second's. A fortune
    of 1 is staked on the share `bet` of it at every episode, in either direction, and averaged over bets with the
    arcsine law (Waudby-Smith and Ramdas 2024; Ville 1939). For one checkpoint each this is the Beta(1/2, 1/2) mixture
    of likelihood ratios against a fair coin. Seeds of one episode share its difficulty: they are one bet, not several.

    Over several tasks the mean over tasks is what is zero: with equally many episodes of each, a round over the tasks
    multiplies the fortune by at most 1 in expectation, since a geometric mean is at most an arithmetic one.
    """
    return evidence_of(Counter(round(value, 9) for value in differences))


def evidence_of(counts: Mapping[float, int]) -> float:
    """As `evidence`, of how often each difference was seen; 0 says nothing."""
    # Gauss-Chebyshev nodes: a mixture over finitely many bets, so valid as it stands and not by approximation
    bets = np.cos((2 * np.arange(NODES) + 1) * math.pi / (2 * NODES))
    logs = np.zeros(NODES)
    for value, times in counts.items():
        if value:
            logs += times * np.log1p(bets * value)
    highest = logs.max()
    return float(math.exp(min(highest + math.log(np.exp(logs - highest).mean()), 700.0)))
