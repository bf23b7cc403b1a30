"""From chunks to the action that is sent: temporal ensembling, and rotations that are rotations."""

from __future__ import annotations

import numpy as np

from benchmark.policy.episode_memory import Memory
from benchmark.policy.policy import PolicyDiverged
from envs.spec import ActionSpec

SHORTEST = 1e-6
"""Length of a predicted quaternion below which it says no rotation."""


def ensembled(memory: Memory, chunk: np.ndarray, rate: float, spec: ActionSpec) -> np.ndarray:
    """The action (A,) of this step: the mean of what this chunk (k, A) and those before it say of it.

    The weight of the i-th oldest of them is exp(-rate * i), with rate 0.01 in ACT (Zhao et al. 2023, algorithm 2 and
    `imitate_episodes.py`). It is summed in float64, row by row, so nothing else in the batch can change it. Quaternions
    are turned to the newest one's side before they are averaged: q and -q are one rotation.
    """
    now = len(memory.actions)
    memory.chunks.append((now, chunk))
    while memory.chunks[0][0] + len(memory.chunks[0][1]) <= now:
        memory.chunks.popleft()
    said = np.stack([plan[now - made] for made, plan in memory.chunks]).astype(np.float64)
    for part in spec.quaternions:
        turned = said[:, part] @ said[-1, part] < 0
        said[turned, part] *= -1
    weights = np.exp(-rate * np.arange(len(said)))
    return ((said * (weights / weights.sum())[:, None]).sum(axis=0)).astype(np.float32)


def whole_actions(chunk: np.ndarray, spec: ActionSpec) -> np.ndarray:
    """(k, A) as it is sent: predicted quaternions have length 1. Raises `PolicyDiverged` for one that has none."""
    if not spec.quaternions:
        return chunk
    chunk = chunk.copy()
    for part in spec.quaternions:
        length = np.linalg.norm(chunk[:, part].astype(np.float64), axis=1, keepdims=True)
        if (length < SHORTEST).any():
            raise PolicyDiverged(
                f"the policy's quaternion {', '.join(spec.names[part])} is zero, which says no rotation: train its "
                "part with a loss of the direction (protocol.action_loss, such as 0.1*cosine(NAME))"
            )
        chunk[:, part] = chunk[:, part] / length
    return chunk
