"""What a process that holds one simulator can be asked (`envs.serving` is the process itself).

Observations go through shared memory, not through the socket.
"""

from __future__ import annotations

import mmap
from collections.abc import Mapping
from typing import Any

import numpy as np

from envs.base import Env, Step
from envs.expert import expert_episode
from envs.spec import FieldSpec, Observation


def field_views(buffer: Any, specs: Mapping[str, FieldSpec]) -> Observation:
    """Arrays laid one after the other over `buffer`, each at a multiple of 64 bytes."""
    views, offset = {}, 0
    for name, spec in specs.items():
        count = int(np.prod(spec.shape, dtype=np.int64))
        views[name] = np.frombuffer(buffer, spec.dtype, count, offset).reshape(spec.shape)
        offset += -(-spec.nbytes // 64) * 64
    return views


def buffer_size(specs: Mapping[str, FieldSpec]) -> int:
    """Bytes that `field_views` needs; at least one page, because an empty mapping is not allowed."""
    return max(mmap.PAGESIZE, sum(-(-spec.nbytes // 64) * 64 for spec in specs.values()))


def _as_specified(name: str, value: np.ndarray, view: np.ndarray) -> np.ndarray:
    """A field of an observation. Raises ValueError: numpy would repeat what is too small, and NaN reach the method.

    Infinity is a depth where nothing is hit.
    """
    if np.shape(value) != view.shape:
        raise ValueError(f"the observation's {name} is {np.shape(value)}, its spec says {view.shape}")
    if view.dtype.kind == "f" and np.isnan(value).any():
        raise ValueError(f"the observation's {name} is NaN: mend the simulator")
    return value


def _outcome(step: Step) -> tuple[float, bool, str | None]:
    return float(step.reward), bool(step.success), None if step.ended is None else str(step.ended)


class Commands:
    """What a worker can be asked. Each public method is a command; its return value is the reply."""

    def __init__(self, env: Env, views: Observation) -> None:
        self._env, self._views = env, views
        self._raised: Exception | None = None

    def _publish(self, observation: Observation) -> None:
        for name, view in self._views.items():
            view[...] = _as_specified(name, observation[name], view)

    def reset(self, seed: int) -> np.ndarray | None:
        """Start an episode; its first observation is in shared memory. How it really began, (D,) float64, where a seed
        does not say that and the simulator does.
        """
        self._raised = None
        self._publish(self._env.reset(seed))
        began = getattr(self._env, "initial_state", None)
        return None if began is None else np.asarray(began(), np.float64)

    def step(self, action: np.ndarray) -> tuple[float, bool, str | None]:
        """(reward, success at this step, None or why the episode is over); what is seen then is in shared memory."""
        if self._raised is not None:
            error, self._raised = self._raised, None
            raise error
        step = self._env.step(action)
        self._publish(step.observation)
        return _outcome(step)

    def steps(self, actions: np.ndarray, until_success: bool) -> tuple[float, bool, str | None, int]:
        """`step` for each of actions (N, A), of which only the last is looked at, and how many were played: fewer where
        the episode is over, by success too if `until_success`, or where one raised an error, which then is what the
        next `step` raises.
        """
        unseen = getattr(self._env, "step_unseen", self._env.step)
        outcome: tuple[float, bool, str | None] = (0.0, False, None)
        for played, action in enumerate(actions):
            try:
                outcome = self.step(action) if played == len(actions) - 1 else _outcome(unseen(action))
            except Exception as error:
                if not played:
                    raise
                self._raised = error
                return *outcome, played
            _, success, ended = outcome
            if ended is not None or (success and until_success):
                return *outcome, played + 1
        return *outcome, len(actions)

    def expert_episode(self, seed: int, horizon: int, stop_after: int | None = None) -> dict[str, np.ndarray]:
        """One expert episode of any length (`envs.expert`). Row t is the moment BEFORE action t."""
        return expert_episode(self._env, seed, horizon, stop_after)

    def render_states(self, seed: int, states: np.ndarray) -> dict[str, np.ndarray]:
        """Observe every state (T, D) of the episode that `seed` names; fields get a leading axis T."""
        self._env.reset(seed)
        frames = []
        for state in states:
            self._env.set_state(state)
            frames.append(self._env.observe())
        return {
            name: np.stack([_as_specified(name, frame[name], view) for frame in frames])
            for name, view in self._views.items()
        }

    def replay(self, seed: int, actions: np.ndarray) -> list[bool]:
        """Success flags of every step when `actions` (T, A) are played from `seed`, up to the episode's end."""
        flags: list[bool] = []
        self._env.reset(seed)
        for action in actions:
            step = self._env.step(action)
            flags.append(bool(step.success))
            if step.ended is not None:
                break
        return flags

    def replay_to_error(self, seed: int, actions: np.ndarray) -> tuple[list[bool], str | None, str | None]:
        """As `replay`, why the episode ended, and what the simulator raised, None if nothing: then it is the flags
        until there.
        """
        flags: list[bool] = []
        try:
            self._env.reset(seed)
            for action in actions:
                step = self._env.step(action)
                flags.append(bool(step.success))
                if step.ended is not None:
                    return flags, step.ended, None
        except Exception as error:
            return flags, None, f"{type(error).__name__}: {error}"
        return flags, None, None

    def fingerprint(self) -> str:
        found = self._env.fingerprint()
        if not isinstance(found, str):
            raise TypeError(f"fingerprint() gives a {type(found).__name__}, a text is expected")
        return found

    def memory(self) -> int:
        """Peak resident bytes of this process. (`ru_maxrss` would count the parent's size at the fork.)"""
        with open("/proc/self/status") as status:
            (line,) = [line for line in status if line.startswith("VmHWM")]
        return int(line.split()[1]) * 1024
