"""Every random number of an experiment from names, never from a clock or an order."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Sequence

LARGEST_SEED = 2**63 - 1
"""Of a training run: what a record's `seed` can be read into anywhere."""
TRAINED_ON = "seeds=training"
"""A retest on the episodes of the training demonstrations: what is 0 there, too, was not learnt."""
PURPOSES = ("demo", "selection", "retest", "train")


def derive(suite: str, task: str, purpose: str, index: int) -> int:
    """A seed in [0, 2**31) for one episode or one random stream.

    The same for every method, worker count, batch size and order. The last two bits are the purpose, so that seeds
    of two purposes can never be equal, hash collisions included.
    """
    code = PURPOSES.index(purpose)
    digest = hashlib.sha256(f"{suite}|{task}|{purpose}|{index}".encode()).digest()
    return (int.from_bytes(digest[:8], "little") % 2**29) * 4 + code


@functools.lru_cache(maxsize=4096)
def episode_seeds(suite: str, task: str, purpose: str, first: int, count: int) -> tuple[int, ...]:
    """`count` different seeds. A collision inside one purpose is skipped, the same way every time.

    Remembered, because every record that is read is held against its seeds.
    """
    seeds: dict[int, None] = {}
    index = first
    while len(seeds) < count:
        seeds.setdefault(derive(suite, task, purpose, index))
        index += 1
    return tuple(seeds)


def parts(task: str) -> list[str]:
    """The tasks of a cell: one, or those of a joint policy, whose cell is called `button-press+reach`."""
    return task.split("+")


def selection_seeds(suite: str, task: str, evaluation: int, count: int) -> list[int]:
    """The rollouts of the `evaluation`-th evaluation (from 0). Other evaluations use other episodes.

    Of a joint policy: `count` of its first task, then of its second, ...
    """
    return [seed for one in parts(task) for seed in episode_seeds(suite, one, "selection", evaluation * 10_000, count)]


def retest_seeds(suite: str, task: str, count: int) -> list[int]:
    """As `selection_seeds`."""
    return [seed for one in parts(task) for seed in episode_seeds(suite, one, "retest", 0, count)]


def may_be_trained_on(suite: str, task: str, attempts: int, found: Sequence[int], each: int) -> bool:
    """Whether these can be seeds of demonstrations, `each` of each task, in the order of their attempts.

    attempts: of all tasks together.
    """
    tasks = parts(task)
    for number, one in enumerate(tasks):
        tried = (derive(suite, one, "demo", index) for index in range(attempts))
        if not all(seed in tried for seed in found[number * each : (number + 1) * each]):  # goes on, never back
            return False
    return len(found) == len(tasks) * each


def training_seed(seed: int, purpose: str, index: int = 0) -> int:
    """A torch seed for one stream (`init`, `order`, `noise`) of training run `seed`."""
    return derive(purpose, str(seed), "train", index)


def plan_seed(episode: int, step: int) -> int:
    """A torch seed for what a policy draws at one step of one episode."""
    return derive("plan", str(episode), "train", step)
