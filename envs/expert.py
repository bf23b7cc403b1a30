"""An expert's episode as arrays: asked step by step, or planned by the simulator as a whole."""

from __future__ import annotations

from typing import Any

import numpy as np

from envs.base import Env, ExpertEpisode
from envs.classes import restorable
from envs.spec import FieldSpec

OBSERVED = "obs/"
"""What precedes a field's name among the arrays of an episode."""


def expert_episode(env: Env, seed: int, horizon: int, stop_after: int | None) -> dict[str, np.ndarray]:
    """One episode of T <= horizon steps: actions (T, A), rewards (T,), success (T,), proprio (T, S), states (T, D);
    `failed` (): the expert gave up, or its last action failed. Of a simulator that restores no state every requested
    field is there as `obs/NAME` (T, ...), in place of the states.

    It ends when the simulator or the expert says so, after `horizon` steps, or `stop_after` steps after the first with
    success (None: it goes on). Raises ValueError for an episode as a whole that does not fit together.
    """
    whole = getattr(env, "expert_episode", None)
    episode = _step_by_step(env, seed, horizon, stop_after) if whole is None else whole(seed)
    count = _count(episode.success, horizon, stop_after)
    found = {
        "actions": np.asarray(episode.actions).astype(np.float32),
        "rewards": np.asarray(episode.rewards, np.float32),
        "success": np.asarray(episode.success, bool),
        "proprio": np.asarray(episode.observations["proprio"]).astype(np.float32),
    }
    if restorable(type(env)):
        if episode.states is None:
            raise ValueError(f"{env.name}: expert_episode gives no states; a simulator without has restorable = False")
        found["states"] = np.asarray(episode.states)
    else:
        specs = env.specs(env.request)
        found |= {OBSERVED + name: _field(episode, spec) for name, spec in specs.items()}
    if odd := {name: len(array) for name, array in found.items() if len(array) != len(found["actions"])}:
        raise ValueError(f"{env.name}: an expert's episode has {len(found['actions'])} actions and {odd}")
    if not count:
        raise ValueError(f"{env.name}: an expert's episode of no steps; one that gives up says failed=True after one")
    cut = {name: array[:count] for name, array in found.items()}
    return cut | {"failed": np.array(bool(episode.failed) and count == len(found["actions"]))}


def _step_by_step(env: Env, seed: int, horizon: int, stop_after: int | None) -> ExpertEpisode:
    columns: dict[str, list[Any]] = {name: [] for name in ("states", "actions", "rewards", "success")}
    keep_states = restorable(type(env))
    observation = env.reset(seed)
    fields = ("proprio",) if keep_states else tuple(observation)
    seen: dict[str, list[np.ndarray]] = {name: [] for name in fields}
    failed = False
    while len(columns["actions"]) < _count(columns["success"], horizon, stop_after, more=True):
        action = env.expert_action()
        if keep_states:
            columns["states"].append(env.state())
        for name in fields:
            seen[name].append(observation[name].copy())
        columns["actions"].append(action)
        step = env.step(action)
        observation = step.observation
        columns["rewards"].append(step.reward)
        columns["success"].append(step.success)
        if step.ended is not None:
            failed = not step.success
            break
    return ExpertEpisode(
        {name: np.stack(column) for name, column in seen.items()},
        np.stack(columns["actions"]),
        np.asarray(columns["rewards"]),
        np.asarray(columns["success"]),
        np.stack(columns["states"]) if keep_states else None,
        failed,
    )


def _count(success: Any, horizon: int, stop_after: int | None, more: bool = False) -> int:
    """How many steps of an episode are kept. more: of one that is still played, how many it may have."""
    most = horizon if more else min(len(success), horizon)
    if stop_after is not None and any(success):
        most = min(most, list(success).index(True) + stop_after + 1)
    return most


def _field(episode: ExpertEpisode, spec: FieldSpec) -> np.ndarray:
    array = np.asarray(episode.observations[spec.name])
    if array.shape[1:] != spec.shape:
        raise ValueError(f"the observation's {spec.name} is {array.shape[1:]}, its spec says {spec.shape}")
    if array.dtype.kind == "f" and np.isnan(array).any():
        raise ValueError(f"the observation's {spec.name} is NaN: mend the simulator")
    return array.astype(spec.dtype, copy=False)
