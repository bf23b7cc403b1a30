"""What a policy remembers of one running episode."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import numpy as np

from envs.spec import Observation


@dataclass
class Memory:
    """Fresh for every attempt at an episode, so an outcome depends on the episode's seed alone.

    seed: of the episode; what a policy draws, it draws from this. actions: those sent so far, in order.
    language: features (D,) of its instruction, None in suites without.
    plan: actions decided and not yet sent. chunks: under temporal ensembling the latest plans, oldest first, each with
    the step at which it was made. seen: the latest observations, newest last, as many as the head looks at.
    """

    seed: int
    language: np.ndarray | None = None
    actions: list[np.ndarray] = field(default_factory=list)
    plan: deque[np.ndarray] = field(default_factory=deque)
    chunks: deque[tuple[int, np.ndarray]] = field(default_factory=deque)
    seen: deque[Observation] = field(default_factory=deque)
