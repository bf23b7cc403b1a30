"""The toy simulator at a pace that a test can set, so that a cell lasts long enough to be disturbed."""

from __future__ import annotations

import os
import time

import numpy as np

from envs.base import Step
from tests.toy_env import Toy

DELAY = float(os.environ.get("TOY_DELAY", "0"))


class SlowToy(Toy):
    def step(self, action: np.ndarray) -> Step:
        time.sleep(DELAY)
        return super().step(action)
