"""`bench compare` as a table: for each pair one row about these checkpoints and one about the methods."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchmark.report.comparisons.compare import Comparison
from benchmark.report.statistics.one_seed import ONE_SEED
from benchmark.report.statistics.questions import CHECKPOINTS, METHODS, Answer
from benchmark.report.tables.table import Table

ABOUT = (
    f"{CHECKPOINTS}: are these trained policies better on other episodes? {METHODS}: would the method be better if "
    "both were trained again? A small p-value of the first says nothing about the second. p > 0.05 after Holm's "
    "correction: not significant, which is no proof of equality."
)
LEAST = 1e-6


def comparison_table(found: Sequence[Comparison], notes: Sequence[str], title: str) -> Table:
    rows: list[tuple[str, ...]] = []
    for one in found:
        pair = f"{one.first} - {one.second}"
        episodes = f"{one.episodes} episodes"
        if one.only_one is not None:
            episodes += f", {one.only_one[0]} : {one.only_one[1]}"
        rows.append((pair, CHECKPOINTS, episodes, *points(one.these_checkpoints), "–"))
        seeds = f"{len(one.tasks)} tasks x {count(one.first_seeds)}, {count(one.second_seeds)} seeds"
        improves = "–" if one.methods_retrained is None else f"{100 * one.improvement:.0f}"
        rows.append(("", METHODS, seeds, *points(one.methods_retrained), improves))
    columns = ("difference", "question", "compared on", "points [95 %]", "p", "Holm", "improves, %")
    rules = frozenset(range(2, len(rows), 2))
    return Table(title, columns, tuple(rows), (*_own(found), *notes), rules, text_columns=3)


def _own(found: Sequence[Comparison]) -> list[str]:
    notes = [
        "points: mean over tasks of the difference of success rates. Holm: p adjusted for all pairs of this table, "
        "separately for each question. improves: probability that a training run of the first beats one of the second "
        "on a task, ties count half.",
        ABOUT,
    ]
    if any(one.only_one is not None for one in found):
        notes[0] += " a : b: of these episodes a only the first succeeds in, b only the second."
    for question, answers in (
        (CHECKPOINTS, [one.these_checkpoints for one in found]),
        (METHODS, [one.methods_retrained for one in found]),
    ):
        tests = sorted({answer.test for answer in answers if answer is not None})
        if tests:
            notes.append(f"{question}, by: {'; '.join(tests)}.")
    unanswered = [one for one in found if one.methods_retrained is None]
    if unanswered:
        notes.append(f"{METHODS}: {', '.join(f'{one.first} - {one.second}' for one in unanswered)}: {ONE_SEED}.")
    notes += [
        f"{one.first} - {one.second}: would hold over retrainings only if the spread over training seeds is below "
        f"{100 * one.tipping_spread:.1f} points (`bench spread` measures it)."
        for one in found
        if one.tipping_spread
    ]
    return notes


def points(answer: Answer | None) -> tuple[str, str, str]:
    """Difference and interval, p, Holm."""
    if answer is None:
        return "one seed: cannot say", "–", "–"
    value, low, high = (round(100 * number, 1) + 0.0 for number in (answer.difference, answer.low, answer.high))
    text = f"{value:+.1f} [{low:+.1f}, {high:+.1f}]"
    return text, p_text(answer.p), p_text(answer.holm)


def count(seeds: Mapping[str, Sequence[int]]) -> str:
    """How many there are of each task: `3`, or `1-3`."""
    counts = sorted({len(of_task) for of_task in seeds.values()})
    return f"{counts[0]}" if len(counts) == 1 else f"{counts[0]}-{counts[-1]}"


def p_text(value: float) -> str:
    if value < LEAST:
        return f"<{LEAST:.0e}"
    return f"{value:.3f}" if value >= 0.001 else f"{value:.0e}"
