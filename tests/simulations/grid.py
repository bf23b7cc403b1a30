"""The whole grid of simulations as Markdown tables: `python -m tests.simulations.grid > table.md` (minutes, one core).

Percent; a share of 5 % over 4,000 experiments has a standard error of 0.34 points, over 2,000 of 0.49.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import time
from collections.abc import Iterator

import numpy as np

from benchmark.report.statistics.planned_power import power
from tests.simulations import shares

COUNTS = (2, 3, 5, 10)
SPREADS = (0.0, 0.03, 0.06)
EFFECTS = ((0.0, 0.0), (0.2, 0.0), (0.2, 0.5), (0.3, 0.0), (0.3, 0.5), (0.3, 1.0))
"""(deviation of an episode's difficulty, share of it that is the method's own)."""
SCOPES = ((1, False), (15, False), (15, True))


def table(title: str, columns: list[str], rows: Iterator[list[str]]) -> None:
    print(f"\n**{title}**\n\n| {' | '.join(columns)} |\n|{' --- |' * len(columns)}")
    for row in rows:
        print(f"| {' | '.join(row)} |", flush=True)


def percent(*values: float) -> str:
    return " / ".join(f"{100 * value:.1f}" for value in values)


def where(tasks: int, joint: bool) -> str:
    return f"{tasks} {'joint' if joint else 'apart'}" if tasks > 1 else "1"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=4_000, help="experiments a row of one task; half of it for 15")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    draw, start = np.random.default_rng(given.seed), time.monotonic()

    def draws(tasks: int) -> int:
        return given.draws if tasks == 1 else given.draws // 2

    def methods() -> Iterator[list[str]]:
        for (tasks, joint), spread, (effect, own) in itertools.product(SCOPES, SPREADS, EFFECTS):
            equal = shares.of_methods(draw, draws(tasks), tasks, spread, effect, own, joint, COUNTS)
            apart = shares.of_methods(draw, draws(tasks), tasks, spread, effect, own, joint, COUNTS, 0.1)
            yield [
                where(tasks, joint),
                f"{100 * spread:g}",
                f"{effect:g}, {100 * own:g} %",
                *(
                    percent(
                        equal[s]["difference"],
                        1 - apart[s]["difference"],
                        1 - equal[s]["mean"],
                        1 - apart[s]["checkpoints"],
                    )
                    for s in COUNTS
                ),
            ]

    def unequal() -> Iterator[list[str]]:
        for (tasks, joint), spreads in itertools.product(SCOPES, ((0.1, 0.0), (0.1, 0.03))):
            found = shares.of_methods(draw, draws(tasks), tasks, spreads, 0.3, 0.5, joint, COUNTS)
            yield [
                where(tasks, joint),
                f"{100 * spreads[0]:g} and {100 * spreads[1]:g}",
                *(percent(found[s]["difference"]) for s in COUNTS),
            ]

    def one_seed() -> Iterator[list[str]]:
        for tasks, spread, (effect, own) in itertools.product(
            (1, 5, 15), SPREADS, ((0.0, 0.0), (0.2, 0.5), (0.3, 0.5))
        ):
            found = shares.with_one_seed(draw, draws(tasks), tasks, spread, effect, own)
            yield [
                f"{tasks}",
                f"{100 * spread:g}",
                f"{effect:g}, {100 * own:g} %",
                percent(found["mcnemar"]) + ("" if spread == 0 else " (read as methods: false)"),
                percent(1 - found["checkpoints"]),
                percent(found["over_tasks"]) if tasks > 1 else "cannot say",
            ]

    def bold() -> Iterator[list[str]]:
        uneven = {"10 or 1": lambda m: tuple(0.1 if i % 3 == 0 else 0.01 for i in range(m))}
        for m, (tasks, joint), spread in itertools.product((6, 12), SCOPES, (0.0, 0.06, "10 or 1")):
            counts = (1, 3, 5, 10) if tasks == 1 else (1, 3) if m == 12 else (1, 3, 10)
            of_each = uneven[spread](m) if isinstance(spread, str) else spread
            many = given.draws // (4 if tasks == 1 else 8)
            found = shares.of_bold(draw, many, m, tasks, of_each, 0.3, joint, counts)
            yield [
                f"{m}",
                where(tasks, joint),
                spread if isinstance(spread, str) else f"{100 * spread:g}",
                *(percent(found[s][0]) if s in found else "–" for s in (1, 3, 5, 10)),
            ]

    def shift() -> Iterator[list[str]]:
        for (tasks, joint), spread, effect in itertools.product(SCOPES, SPREADS, (0.0, 0.2, 0.3)):
            found = shares.of_shift(draw, draws(tasks), tasks, spread, effect, joint, (1, *COUNTS))
            yield [
                where(tasks, joint),
                f"{100 * spread:g}",
                f"{effect:g}",
                percent(1 - found[1]["checkpoints"]),
                *(percent(found[s]["difference"], 1 - found[s]["drop"]) for s in COUNTS),
            ]

    def looks() -> Iterator[list[str]]:
        for (tasks, joint), spread, effect in itertools.product(SCOPES, SPREADS, (0.0, 0.2, 0.3)):
            alarms, fixed = shares.of_looks(draw, draws(tasks), tasks, spread, effect, joint)
            gap = 0.15 if tasks == 1 or joint else 0.04
            found, most = shares.of_looks(draw, given.draws // 4, tasks, spread, effect, joint, gap)
            yield [
                where(tasks, joint),
                f"{100 * spread:g}",
                f"{effect:g}",
                percent(alarms, fixed),
                f"{100 * gap:g}: {percent(found, most)}",
            ]

    def playing_on() -> Iterator[list[str]]:
        for tasks, s, effect in itertools.product((1, 15), (1, 3, 5), (0.0, 0.2, 0.3)):
            many = given.draws // 4 if tasks == 1 else given.draws // 16
            uneven = percent(shares.of_playing_on(draw, many, tasks, s, effect, True)) if tasks > 1 else "–"
            yield [
                f"{tasks}",
                f"{s}",
                f"{effect:g}",
                percent(shares.of_playing_on(draw, many, tasks, s, effect)),
                uneven,
            ]

    def planned() -> Iterator[list[str]]:
        for tasks, joint, spread, effect, gap in [
            (1, False, 0.0, 0.2, 0.1),
            (1, False, 0.03, 0.2, 0.1),
            (1, False, 0.06, 0.0, 0.15),
            (1, False, 0.06, 0.3, 0.15),
            (15, False, 0.0, 0.3, 0.03),
            (15, False, 0.06, 0.2, 0.04),
            (15, True, 0.03, 0.2, 0.06),
            (15, True, 0.06, 0.3, 0.12),
        ]:
            share, setting = shares.simulated_power(draw, draws(tasks), tasks, spread, effect, gap, joint, COUNTS)
            yield [
                where(tasks, joint),
                f"{100 * spread:g}",
                f"{effect:g}",
                f"{100 * gap:g}",
                *(percent(power(setting, gap, s), share[s]) for s in COUNTS),
            ]

    def before() -> Iterator[list[str]]:
        for s, spread, effect in [(3, 0.0, 0.2), (3, 0.0, 0.3), (5, 0.0, 0.2), (5, 0.0, 0.3), (1, 0.06, 0.3)]:
            tests, intervals = shares.seeds_as_strata(draw, given.draws // 2, s, spread, effect)
            yield [f"{s}", f"{100 * spread:g}", f"{effect:g}", percent(tests), percent(1 - intervals)]

    by_seeds = [f"s = {s}" for s in COUNTS]
    setting = ["tasks", "spread", "episodes, own"]
    table(
        "Methods: false alarms / coverage of a difference of 10 points / of a mean / of the checkpoints' difference",
        [*setting, *by_seeds],
        methods(),
    )
    table("Methods of unequal spread: false alarms", ["tasks", "spreads", *by_seeds], unequal())
    table(
        "One training seed",
        [*setting, "McNemar: p <= 5 %", "checkpoints: coverage", "t over tasks: false alarms"],
        one_seed(),
    )
    table("Bold: one of the truly best is not", ["methods", "tasks", "spread", "s = 1", *by_seeds[1:]], bold())
    table(
        "Shift: checkpoints' coverage at s = 1; false alarms of the difference in difference / coverage of a drop",
        ["tasks", "spread", "episodes", "s = 1", *by_seeds],
        shift(),
    )
    table(
        "Looks at 3, 5 and 10 seeds: false alarms / those of ten seeds at 5 %; the same for a difference (points)",
        ["tasks", "spread", "episodes", "equal methods", "a difference"],
        looks(),
    )
    table(
        "`--until-decided`: false alarms; the same where tasks differ but not their mean",
        ["tasks", "seeds", "episodes", "equal checkpoints", "uneven tasks"],
        playing_on(),
    )
    table("Power: planned / simulated", ["tasks", "spread", "episodes", "difference", *by_seeds], planned())
    table(
        "What training seeds as strata did: false alarms of McNemar's test, coverage of the paired interval",
        ["seeds", "spread", "episodes", "p <= 5 %", "coverage"],
        before(),
    )
    print(f"{(time.monotonic() - start) / 60:.1f} minutes", file=sys.stderr)


if __name__ == "__main__":
    main()
