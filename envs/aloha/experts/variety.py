"""How one episode of an expert differs from the next: in pace, in which grasps it likes, in how high it goes."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from envs.aloha.experts.ranking import Cheapest, Ranking

PACE = (0.85, 1.15)
JITTER = 0.012
"""Metres by which heights and distances of way points vary, either way."""
NOISE_MEMORY = 0.95
"""Of the disturbance, from step to step: it forgets in 20 steps, 0.4 s."""
RESPONSE = np.array([0.12, 0.12, 0.12, 0.20, 0.10, 0.15, 0.0] * 2)
"""The share of a change of their targets that the joints follow in a step: fitted to an arm at rest under noise, where
a first-order response leaves a quarter of the deviation or less (`tests/envs/test_aloha.py`)."""


@dataclass
class Style:
    """draw: of this episode alone. vary: False for the same, most preferred motion every time. habit: of the task, None
    to take the cheapest grasps and goals.

    ranking: which of them it takes. pace: times as fast. noise: standard deviation of the disturbance of joint targets,
    radians. felt: (14,) how far the joints are off because of the disturbances so far, an estimate. An expert that took
    this for an error of its own would correct it, and its labels would follow noise that no observation tells of.
    """

    draw: np.random.Generator
    vary: bool = True
    noise: float = 0.0
    habit: Ranking | None = None
    ranking: Ranking = field(init=False)
    pace: float = field(init=False)

    def __post_init__(self) -> None:
        self.ranking = self.habit or Cheapest(self.draw if self.vary else None)
        self.pace = float(self.draw.uniform(*PACE)) if self.vary else 1.0
        self._disturbance, self.felt = np.zeros(14), np.zeros(14)
        self._moved = np.array([*[1.0] * 6, 0.0] * 2)

    def about(self, metres: float) -> float:
        return metres + float(self.draw.uniform(-JITTER, JITTER)) if self.vary else metres

    def disturbance(self) -> np.ndarray:
        """(14,) to be added to the next action, zero for the grippers: an Ornstein-Uhlenbeck process."""
        if self.noise:
            fresh = self.draw.normal(0, self.noise * np.sqrt(1 - NOISE_MEMORY**2), 14)
            self._disturbance = NOISE_MEMORY * self._disturbance + fresh * self._moved
            self.felt = self.felt + RESPONSE * (self._disturbance - self.felt)
        return self._disturbance
