"""The process that holds one simulator. It imports numpy and the simulator, never torch.

It may run in another Python interpreter, so it is started as a plain program (`envs.pool` has the command line) and
speaks pickled tuples over an inherited socket. Observations go through shared memory, not through the socket.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import signal
import sys
import traceback
from collections.abc import Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from envs.base import Env
from envs.local_code import content
from envs.registry import make
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


class Commands:
    """What a worker can be asked. Each public method is a command; its return value is the reply."""

    def __init__(self, env: Env, views: Observation) -> None:
        self._env, self._views = env, views

    def _publish(self, observation: Observation) -> None:
        for name, view in self._views.items():
            view[...] = observation[name]

    def reset(self, seed: int) -> None:
        """Start an episode; its first observation is in shared memory."""
        self._publish(self._env.reset(seed))

    def step(self, action: np.ndarray) -> tuple[float, bool]:
        """(reward, success at this step); the next observation is in shared memory."""
        step = self._env.step(action)
        self._publish(step.observation)
        return step.reward, step.success

    def expert_episode(self, seed: int, horizon: int) -> dict[str, np.ndarray]:
        """One expert episode of `horizon` steps. Row t holds the state and proprio BEFORE action t."""
        columns: dict[str, list[Any]] = {k: [] for k in ("states", "actions", "rewards", "success", "proprio")}
        observation = self._env.reset(seed)
        for _ in range(horizon):
            action = self._env.expert_action()
            columns["states"].append(self._env.state())
            columns["proprio"].append(observation["proprio"].copy())
            columns["actions"].append(action)
            step = self._env.step(action)
            observation = step.observation
            columns["rewards"].append(step.reward)
            columns["success"].append(step.success)
        return {
            "states": np.stack(columns["states"]),
            "actions": np.stack(columns["actions"]).astype(np.float32),
            "rewards": np.asarray(columns["rewards"], np.float32),
            "success": np.asarray(columns["success"], bool),
            "proprio": np.stack(columns["proprio"]).astype(np.float32),
        }

    def render_states(self, seed: int, states: np.ndarray) -> dict[str, np.ndarray]:
        """Observe every state (T, D) of the episode that `seed` names; fields get a leading axis T."""
        self._env.reset(seed)
        frames = []
        for state in states:
            self._env.set_state(state)
            frames.append(self._env.observe())
        return {name: np.stack([frame[name] for frame in frames]) for name in self._views}

    def replay(self, seed: int, actions: np.ndarray) -> list[bool]:
        """Success flags of every step when `actions` (T, A) are played from `seed`."""
        self._env.reset(seed)
        return [self._env.step(action).success for action in actions]

    def fingerprint(self) -> str:
        return self._env.fingerprint()

    def memory(self) -> int:
        """Peak resident bytes of this process. (`ru_maxrss` would count the parent's size at the fork.)"""
        with open("/proc/self/status") as status:
            (line,) = [line for line in status if line.startswith("VmHWM")]
        return int(line.split()[1]) * 1024


def serve(connection: Connection, buffer: mmap.mmap) -> None:
    """Build the simulator the first message asks for, then answer commands until the parent hangs up."""
    name, task, request, expected = connection.recv()
    try:
        env = make(name, task, request)
        edited = [path for path, sha in expected.items() if hashlib.sha256(content(Path(path))).hexdigest() != sha]
        if edited:
            raise RuntimeError(f"{', '.join(edited)} was edited during the run: undo it, or begin with --overwrite")
        commands = Commands(env, field_views(buffer, env.specs(request)))
    except Exception as error:
        connection.send(("error", f"{type(error).__name__}: {error}", traceback.format_exc()))
        return
    connection.send(("ok", "ready"))
    try:
        while True:
            command, arguments = connection.recv()
            try:
                connection.send(("ok", getattr(commands, command)(*arguments)))
            except Exception as error:
                connection.send(("error", f"{type(error).__name__}: {error}", traceback.format_exc()))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        pass  # the parent is gone, however it went: nothing is left to do
    finally:
        env.close()


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle; its end ends us
    socket_fd, memory_fd, size = (int(argument) for argument in sys.argv[1:4])
    serve(Connection(socket_fd), mmap.mmap(memory_fd, size))
    sys.stdout.flush()
    os._exit(0)  # llvmpipe's own exit handlers can hang after the context is gone


if __name__ == "__main__":
    main()
