"""How often the product's statistics err, over many simulated experiments. Shares in 0..1."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from benchmark.report.statistics.betting import evidence_of
from benchmark.report.statistics.crossed import Contrast, Scope, contrast
from benchmark.report.statistics.declared_looks import LOOKS
from benchmark.report.statistics.family import maybe_best
from benchmark.report.statistics.one_seed import over_tasks
from benchmark.report.statistics.paired import Pairs, difference, exact_mcnemar
from benchmark.report.statistics.planned_power import Setting
from benchmark.report.statistics.rate import within_0_and_1
from tests.simulations.policies import play, play_shifted, task_means

Arms = list[list[np.ndarray]]


def first_seeds(arms: Arms, seeds: int) -> Arms:
    return [[values[:, :seeds] for values in arm] for arm in arms]


def misses(found: Contrast, truth: float | np.ndarray, half: np.ndarray) -> float:
    return float(np.mean(np.abs(found.estimate - truth) > half))


def of_methods(
    draw: np.random.Generator,
    draws: int,
    tasks: int,
    spread: float | tuple[float, float],
    effect: float,
    own: float,
    joint: bool,
    counts: tuple[int, ...],
    gap: float = 0.0,
) -> dict[int, dict[str, float]]:
    """Training seeds -> misses of a difference's interval (false alarms where gap is 0) and of a mean's; and those of
    the interval about these checkpoints."""
    means = task_means(tasks, (gap / 2, -gap / 2))
    arms, rates = play(draw, draws, means, max(counts), spread, effect, own, joint)
    scope = Scope.JOINT if joint else Scope.PER_TASK
    found = {}
    for s in counts:
        used = first_seeds(arms, s)
        pair, mean = contrast(used, [1, -1], scope), contrast(used[:1], [1], scope)
        low, high = within_0_and_1(mean.estimate, mean.of_methods(), s * tasks * 100)
        truth, checkpoints = means[0].mean(), rates[..., :s].mean((1, 3))
        found[s] = {
            "difference": misses(pair, gap, pair.of_methods()),
            "mean": float(np.mean((low > truth) | (high < truth))),
            "checkpoints": misses(pair, checkpoints[0] - checkpoints[1], pair.of_checkpoints()),
        }
    return found


def with_one_seed(
    draw: np.random.Generator, draws: int, tasks: int, spread: float, effect: float, own: float, gap: float = 0.0
) -> dict[str, float]:
    """mcnemar: rejections, false ones where spread and gap are 0. checkpoints: misses of their difference. over_tasks:
    false alarms about the methods, by Student's t over separately trained tasks."""
    means = task_means(tasks, (gap / 2, -gap / 2))
    arms, rates = play(draw, draws, means, 1, spread, effect, own)
    d = np.stack([a[:, 0] - b[:, 0] for a, b in zip(*arms, strict=True)], axis=1)
    truth = (rates[0] - rates[1]).mean((0, 2))
    rejected = missed = alarms = 0
    for i in range(draws):
        strata = [Pairs(one.size, int((one > 0).sum()), int((one < 0).sum())) for one in d[i]]
        rejected += exact_mcnemar(strata) <= 0.05
        _, low, high = difference(strata)
        missed += not low <= truth[i] <= high
        if tasks > 1:
            half, _, _ = over_tasks(d[i].mean(-1).tolist())
            alarms += abs(d[i].mean() - gap) > half
    return {"mcnemar": rejected / draws, "checkpoints": missed / draws, "over_tasks": alarms / draws}


def of_bold(
    draw: np.random.Generator,
    draws: int,
    methods: int,
    tasks: int,
    spread: float | tuple[float, ...],
    effect: float,
    joint: bool,
    counts: tuple[int, ...],
    gaps: tuple[float, ...] | None = None,
) -> dict[int, tuple[float, float]]:
    """Training seeds -> (share of tables in which one of the truly best is not bold, mean count of bold ones).

    With one seed the question is about checkpoints, and the best one is that of the highest true rate.
    """
    gaps = gaps or (0.0,) * methods
    arms, rates = play(draw, draws, task_means(tasks, gaps), max(counts), spread, effect, 0.5, joint)
    best_methods = np.broadcast_to(np.array(gaps) == max(gaps), (draws, methods))
    found = {}
    for s in counts:
        used = first_seeds(arms, s)
        scope = Scope.JOINT if joint else Scope.PER_TASK
        pairs = [contrast([used[a], used[b]], [1, -1], scope) for a, b in combinations(range(methods), 2)]
        gap = np.stack([one.estimate for one in pairs], axis=-1)
        p = _mcnemar(used) if s == 1 else np.stack([one.p_of_methods() for one in pairs], axis=-1)
        best = best_methods
        if s == 1:
            true = rates[..., 0].mean(1).T
            best = np.isclose(true, true.max(-1, keepdims=True))
        bold = [maybe_best(methods, gap[i].tolist(), p[i].tolist()) for i in range(draws)]
        wrong = [not set(np.flatnonzero(best[i])) <= names for i, names in enumerate(bold)]
        found[s] = (float(np.mean(wrong)), float(np.mean([len(names) for names in bold])))
    return found


def _mcnemar(arms: Arms) -> np.ndarray:
    rows = []
    for a, b in combinations(range(len(arms)), 2):
        d = [x[:, 0] - y[:, 0] for x, y in zip(arms[a], arms[b], strict=True)]
        first, second = (sum((np.sign(one) == side).sum(-1) for one in d) for side in (1, -1))
        rows.append([exact_mcnemar([Pairs(0, int(x), int(y))]) for x, y in zip(first, second, strict=True)])
    return np.array(rows).T


def of_shift(
    draw: np.random.Generator,
    draws: int,
    tasks: int,
    spread: float,
    effect: float,
    joint: bool,
    counts: tuple[int, ...],
) -> dict[int, dict[str, float]]:
    """Training seeds -> misses of the difference in difference, which is 0, and of one method's drop, 15 points."""
    arms, rates = play_shifted(draw, draws, tasks, max(counts), spread, effect, joint)
    found = {}
    for s in counts:
        used = first_seeds(arms, s)
        scope = Scope.JOINT if joint else Scope.PER_TASK
        pair, drop = contrast(used, [1, -1], scope), contrast(used[:1], [1], scope)
        own = rates[..., :s].mean((1, 3))
        found[s] = {"checkpoints": misses(pair, own[0] - own[1], pair.of_checkpoints())}
        if s > 1:
            found[s] |= {
                "difference": misses(pair, 0, pair.of_methods()),
                "drop": misses(drop, 0.15, drop.of_methods()),
            }
    return found


def of_looks(
    draw: np.random.Generator, draws: int, tasks: int, spread: float, effect: float, joint: bool, gap: float = 0.0
) -> tuple[float, float]:
    """Share of experiments that one of the declared looks decides, and that ten seeds at 5 % would."""
    means = task_means(tasks, (gap / 2, -gap / 2))
    arms, _ = play(draw, draws, means, 10, spread, effect, 0.5, joint)
    scope = Scope.JOINT if joint else Scope.PER_TASK
    decided = np.zeros(draws, dtype=bool)
    for s, level in LOOKS:
        pair = contrast(first_seeds(arms, s), [1, -1], scope)
        decided |= np.abs(pair.estimate) > pair.of_methods(level)
    return float(decided.mean()), float(np.mean(np.abs(pair.estimate) > pair.of_methods()))


def of_playing_on(
    draw: np.random.Generator, draws: int, tasks: int, seeds: int, effect: float, uneven: bool = False
) -> float:
    """False alarms of `--until-decided`: equal checkpoints, a look after the retest and each of 16 batches of 25.

    uneven: one method is better on every other task and worse on the next, by 10 points.
    """
    means = task_means(tasks, (0.0, 0.0))
    if uneven:
        means[0, : tasks - tasks % 2] += 0.1 * np.where(np.arange(tasks - tasks % 2) % 2, 1, -1)
    alarms = 0
    for _ in range(draws):
        arms, _ = play(draw, 1, means, seeds, 0.0, effect, 0.5, episodes=500)
        d = np.stack([a[0].sum(0).astype(int) - b[0].sum(0) for a, b in zip(*arms, strict=True)])
        alarms += any(
            evidence_of({k / seeds: int(c) for k, c in zip(*np.unique(d[:, :n], return_counts=True), strict=True)})
            >= 20
            for n in range(100, 501, 25)
        )
    return alarms / draws


def simulated_power(
    draw: np.random.Generator,
    draws: int,
    tasks: int,
    spread: float,
    effect: float,
    gap: float,
    joint: bool,
    counts: tuple[int, ...],
) -> tuple[dict[int, float], Setting]:
    """Training seeds -> share of experiments in which the test finds `gap`, and the setting as a pilot measures it."""
    means = task_means(tasks, (gap / 2, -gap / 2))
    scope = Scope.JOINT if joint else Scope.PER_TASK
    arms, _ = play(draw, draws, means, max(counts), spread, effect, 0.5, joint)
    share = {}
    for s in counts:
        pair = contrast(first_seeds(arms, s), [1, -1], scope)
        share[s] = float(np.mean(np.abs(pair.estimate) > pair.of_methods()))
    pilot, _ = play(draw, 20, means, 5, 0.0, effect, 0.5, joint, episodes=10_000)
    discordant = np.mean([np.mean(a[:, :1] != b[:, :1]) for a, b in zip(*pilot, strict=True)])
    shared = contrast(pilot, [1, -1], scope).shared_variance.mean() * 10_000 * tasks
    setting = Setting(tasks, 100, spread, float(discordant), float(np.sqrt(shared)), scope)
    return share, setting


def seeds_as_strata(
    draw: np.random.Generator, draws: int, seeds: int, spread: float, effect: float
) -> tuple[float, float]:
    """What went wrong before: McNemar's test and Agresti and Min's interval with each training seed a stratum, on two
    equal methods that play the same episodes and find different ones hard. Share of p <= 0.05, and of intervals
    without 0."""
    arms, _ = play(draw, draws, task_means(1, (0.0, 0.0)), seeds, spread, effect, 1.0)
    first, second = arms[0][0], arms[1][0]
    tests = intervals = 0
    for i in range(draws):
        d = first[i] - second[i]
        strata = [Pairs(one.size, int((one > 0).sum()), int((one < 0).sum())) for one in d]
        _, low, high = difference(strata)
        tests += exact_mcnemar(strata) <= 0.05
        intervals += not low <= 0 <= high
    return tests / draws, intervals / draws
