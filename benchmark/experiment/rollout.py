"""Rollouts: the policy in the simulator, many episodes at once, each named by its seed.

The parent encodes the observations of the live episodes in one batch and sends every worker its action; a worker
whose episode has ended gets the next seed at once. Outcomes depend on seeds alone: not on the number of workers, nor
on the order in which they finish. Actions that were planned ahead are sent together, and nothing is rendered between
them: most of an episode's time under a policy that plans chunks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from benchmark.policy.episode_memory import Memory
from benchmark.system.progress import Advance
from envs.pool import Pool, Worker, WorkerDied, WorkerError
from envs.spec import Observation

RETRIES = 2
"""How often an episode is run again when its worker dies, before it counts as an error."""

PolicyFunction = Callable[[Observation, Sequence[Memory]], np.ndarray]
"""Stacked observations (B, ...) and what is remembered of each episode to actions (B, A)."""


@dataclass(frozen=True)
class Episode:
    """One rollout. `error` is None or why it could not be run: errors are neither successes nor failures.

    actions: (steps, A) float32 as sent to the simulator, so that the episode can be replayed.
    ended: why the simulator ended it, None if time or success did. Without success it is a failure like any other.
    began: (D,) float64, how it really began, of a simulator whose seeds do not say that (`envs.base.Env`).
    """

    seed: int
    success: bool
    steps: int
    error: str | None
    actions: np.ndarray = field(repr=False, compare=False)
    ended: str | None = None
    began: np.ndarray | None = field(default=None, repr=False, compare=False)


@dataclass
class _Live:
    index: int
    seed: int
    attempt: int
    memory: Memory
    began: np.ndarray | None = None
    sent: list[np.ndarray] = field(default_factory=list)
    """Actions that the worker is playing."""

    def settle(self, played: int) -> None:
        """Of what was sent, so many actions were played; the others are planned again."""
        self.memory.actions += self.sent[:played]
        self.memory.plan.extendleft(reversed(self.sent[played:]))
        self.sent = []


def rollout(
    pool: Pool,
    policy: PolicyFunction,
    seeds: Sequence[int],
    horizon: int,
    success_rule: str,
    advance: Advance = lambda *_a, **_k: None,
    together: bool = True,
    remember: Callable[[int], Memory] = Memory,
    looks: int = 1,
) -> list[Episode]:
    """One episode for each seed, in the order of `seeds`.

    success_rule: `any-step` counts an episode whose flag was up at any step and stops it there, which changes no
        outcome; `last-step` runs to the horizon, or to where the simulator ends it, and counts the flag of its last
        step.
    together: wait for all live episodes and encode them in one batch (right for a GPU), or serve each batch of
        whoever is waiting (right where policy and simulators share the cores). Outcomes are the same.
    remember: what an episode starts with, from its seed.
    looks: how many of the latest observations the policy plans from; those before them are not made.
    """
    results: dict[int, Episode] = {}
    queue = list(enumerate(seeds))[::-1]
    live: dict[Worker, _Live] = {}

    def start(worker: Worker, index: int, seed: int, attempt: int) -> None:
        live[worker] = _Live(index, seed, attempt, remember(seed))
        worker.ask("reset", seed)

    def finish(worker: Worker, success: bool, error: str | None = None, ended: str | None = None) -> None:
        episode = live.pop(worker)
        episode.settle(len(episode.sent))
        played = episode.memory.actions
        actions = np.stack(played) if played else np.zeros((0, 0), np.float32)
        results[episode.index] = Episode(episode.seed, success, len(played), error, actions, ended, episode.began)
        advance(note=f"{sum(one.success for one in results.values())}/{len(results)} succeeded")
        if queue:
            start(worker, *queue.pop(), 0)

    def send(worker: Worker, count: int) -> None:
        episode = live[worker]
        episode.sent = [episode.memory.plan.popleft() for _ in range(count)]
        if count == 1:
            worker.ask("step", episode.sent[0])
        else:
            worker.ask("steps", np.stack(episode.sent), success_rule == "any-step")

    def replace(worker: Worker, reason: str) -> None:
        episode = live.pop(worker)
        fresh = pool.replace(worker)
        if episode.attempt < RETRIES:
            start(fresh, episode.index, episode.seed, episode.attempt + 1)
        else:
            live[fresh] = episode
            finish(fresh, success=False, error=reason)

    for worker in list(pool.workers):
        if queue:
            start(worker, *queue.pop(), 0)
    observed: list[Worker] = []
    while live:
        for worker in pool.ready([worker for worker in live if worker not in observed]):
            try:
                reply = worker.answer()
            except WorkerDied as death:
                replace(worker, str(death))
                continue
            except WorkerError as error:
                live[worker].settle(1)
                finish(worker, success=False, error=str(error))
                continue
            episode, success, ended, stopped = live[worker], False, None, False
            if isinstance(reply, tuple):
                _, success, ended, *played = reply
                stopped = bool(played) and played[0] < len(episode.sent)
                episode.settle(*played or (1,))
            else:  # of a reset
                episode.began = reply
            if success and success_rule == "any-step":
                finish(worker, success=True)
            elif stopped and ended is None:
                send(worker, 1)  # the next action raises an error, which is then the answer
            elif ended is not None or len(episode.memory.actions) == horizon:
                finish(worker, success=bool(success), ended=ended)
            else:
                observed.append(worker)
        if observed and (not together or len(observed) == len(live)):
            stacked = {name: np.stack([w.observation[name] for w in observed]) for name in observed[0].observation}
            memories = [live[worker].memory for worker in observed]
            for worker, action in zip(observed, policy(stacked, memories), strict=True):
                memory = live[worker].memory
                memory.plan.appendleft(action)
                send(worker, min(max(1, len(memory.plan) + 1 - looks), horizon - len(memory.actions)))
            observed = []
    return [results[index] for index in range(len(seeds))]
