"""Trained policies that play the same episodes, with exactly known success rates.

A training seed's true rate over all episodes is a draw of a Beta distribution with the given mean and spread. An
episode's difficulty is normal on the probit scale, shared by seeds and methods or in part the method's own, so that a
policy's rate over new episodes stays exactly its own whatever the difficulties' size.
"""

from __future__ import annotations

import numpy as np
from scipy.special import betaincinv, ndtri

EPISODES = 100


def task_means(tasks: int, gaps: tuple[float, ...]) -> np.ndarray:
    """(methods, tasks): rates around 55 %, over tasks from 30 to 80 %; gaps: what is added to each method."""
    base = np.linspace(0.3, 0.8, tasks) if tasks > 1 else np.array([0.55])
    return base + np.array(gaps)[:, None]


def correlation(effect: float) -> float:
    """Of two policies' latent outcomes in one episode, where difficulties have the deviation `effect` at a rate of 1/2.

    By Sheppard's formula both of two policies of rate 1/2 succeed with 1/4 + asin(r) / 2 pi.
    """
    return float(np.sin(2 * np.pi * effect**2))


def rates_of_seeds(
    draw: np.random.Generator, means: np.ndarray, draws: int, seeds: int, spread: float, joint: bool = False
) -> np.ndarray:
    """(tasks, draws, seeds). joint: a seed lies at the same quantile of its distribution in every task."""
    shape = (len(means), draws, seeds)
    centres = np.broadcast_to(means[:, None, None], shape)
    if spread == 0:
        return centres
    size = centres * (1 - centres) / spread**2 - 1
    if joint:
        return betaincinv(centres * size, (1 - centres) * size, draw.random(shape[1:]))
    return draw.beta(centres * size, (1 - centres) * size)


def roll_out(draw: np.random.Generator, rates: np.ndarray, ease: np.ndarray, effect: float) -> np.ndarray:
    """rates: (draws, seeds); ease: standard normal (draws, 1, episodes). Outcomes (draws, seeds, episodes)."""
    r = correlation(effect)
    noise = draw.standard_normal((*rates.shape, ease.shape[-1]), dtype=np.float32)
    limit = ndtri(np.clip(rates, 1e-12, 1 - 1e-12)).astype(np.float32)[..., None]
    return (np.sqrt(1 - r) * noise < limit + np.sqrt(r) * ease).astype(np.int8)


def play(
    draw: np.random.Generator,
    draws: int,
    means: np.ndarray,
    seeds: int,
    spread: float | tuple[float, ...],
    effect: float,
    own: float = 0.0,
    joint: bool = False,
    episodes: int = EPISODES,
) -> tuple[list[list[np.ndarray]], np.ndarray]:
    """means: (methods, tasks). spread: of all methods, or one for each. own: share of an episode's difficulty that is
    the method's alone.

    Outcomes for each method and task (draws, seeds, episodes), and the true rates (methods, tasks, draws, seeds).
    """
    methods, tasks = means.shape
    spreads = spread if isinstance(spread, tuple) else (spread,) * methods
    rates = np.stack([rates_of_seeds(draw, means[m], draws, seeds, spreads[m], joint) for m in range(methods)])
    out: list[list[np.ndarray]] = [[] for _ in range(methods)]
    for t in range(tasks):
        shared = _ease(draw, draws, episodes)
        for m in range(methods):
            out[m].append(roll_out(draw, rates[m, t], _mixed(draw, shared, own), effect))
    return out, rates


def play_shifted(
    draw: np.random.Generator, draws: int, tasks: int, seeds: int, spread: float, effect: float, joint: bool = False
) -> tuple[list[list[np.ndarray]], np.ndarray]:
    """Two methods that lose equally much, 15 points, under a shift of which each seed suffers differently.

    Success without the shift minus success under it, (draws, seeds, episodes) for each method and task, and the true
    drops. Half of an episode's difficulty changes under the shift, for each method otherwise.
    """
    plain, shifted = task_means(tasks, (0.0,))[0], task_means(tasks, (-0.15,))[0]
    drops = []
    out: list[list[np.ndarray]] = [[], []]
    eases = [_ease(draw, draws, EPISODES) for _ in range(tasks)]
    for m in range(2):
        before, after = (rates_of_seeds(draw, x, draws, seeds, spread, joint) for x in (plain, shifted))
        drops.append(before - after)
        for t in range(tasks):
            won = roll_out(draw, before[t], eases[t], effect)
            out[m].append(won - roll_out(draw, after[t], _mixed(draw, eases[t], 0.5), effect))
    return out, np.stack(drops)


def _ease(draw: np.random.Generator, draws: int, episodes: int) -> np.ndarray:
    return draw.standard_normal((draws, 1, episodes), dtype=np.float32)


def _mixed(draw: np.random.Generator, shared: np.ndarray, own: float) -> np.ndarray:
    """own: share of the variance of an episode's difficulty that is the method's own."""
    if own == 0:
        return shared
    new = draw.standard_normal(shared.shape, dtype=np.float32)
    return np.sqrt(np.float32(1 - own)) * shared + np.sqrt(np.float32(own)) * new
