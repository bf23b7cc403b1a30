"""Two questions about two methods, and an answer to each that never stands in for the other."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np

from benchmark.report.statistics.crossed import Contrast, Scope, contrast
from benchmark.report.statistics.family import holm
from benchmark.report.statistics.one_seed import TASKS_FOR_T, over_tasks
from benchmark.report.statistics.outcomes import Aligned
from benchmark.report.statistics.paired import Pairs, difference, exact_mcnemar

CHECKPOINTS = "these checkpoints"
METHODS = "methods, retrained"


@dataclass(frozen=True)
class Answer:
    """First minus second in 0..1, a 95 % interval, p as it is and adjusted for the pairs of the table (Holm)."""

    difference: float
    low: float
    high: float
    p: float
    holm: float
    test: str


def about_checkpoints(data: Aligned, scope: Scope, most: float = 1.0) -> Answer:
    """Are these trained policies better on other episodes of the same tasks? data: of two arms.

    One seed each and plain successes (`most` 1): exact McNemar over tasks, Agresti and Min. Else the spread over
    episodes of the difference of the seeds' means, normal. most: the largest difference there can be.
    """
    if data.most == 1 and most == 1:
        strata = pairs_of(data)
        return Answer(*difference(strata), exact_mcnemar(strata), 1.0, "exact McNemar; Agresti and Min")
    found = contrast(data.arms, [1, -1], scope)
    return _answer(found, found.of_checkpoints(), found.p_of_checkpoints(), "spread over episodes, normal", most)


def about_methods(data: Aligned, scope: Scope, most: float = 1.0) -> Answer | None:
    """Would the first be better if every arm were trained again? None where one training seed cannot tell."""
    if data.fewest > 1:
        found = contrast(data.arms, [1, -1], scope)
        return _answer(found, found.of_methods(), found.p_of_methods(), "training seeds crossed with episodes", most)
    if scope is Scope.JOINT or len(data.tasks) < TASKS_FOR_T:
        return None
    gaps = [float(a.mean() - b.mean()) for a, b in zip(*data.arms, strict=True)]
    half, p, df = over_tasks(gaps)
    mean = float(np.mean(gaps))
    return Answer(
        mean, max(-most, mean - half), min(most, mean + half), p, 1.0, f"t over separately trained tasks, {df} df"
    )


def _answer(found: Contrast, half: np.ndarray, p: np.ndarray, test: str, most: float) -> Answer:
    estimate, wide = float(found.estimate), float(half)
    return Answer(estimate, max(-most, estimate - wide), min(most, estimate + wide), float(p), 1.0, test)


def pairs_of(data: Aligned) -> list[Pairs]:
    """Each task's counts, of two arms with one seed each."""
    gaps = [a[0] - b[0] for a, b in zip(*data.arms, strict=True)]
    return [Pairs(d.size, int((d > 0).sum()), int((d < 0).sum())) for d in gaps]


Compared = TypeVar("Compared", bound="AnswersBoth")


class AnswersBoth(Protocol):
    """A frozen dataclass about a pair of methods."""

    @property
    def these_checkpoints(self) -> Answer: ...

    @property
    def methods_retrained(self) -> Answer | None: ...


def in_family(found: Sequence[Compared]) -> list[Compared]:
    """The same with Holm's p over all pairs, each question for itself."""
    checkpoints = iter(holm([one.these_checkpoints.p for one in found]))
    methods = iter(holm([one.methods_retrained.p for one in found if one.methods_retrained is not None]))

    def adjust(answer: Answer, values: Iterator[float]) -> Answer:
        return dataclasses.replace(answer, holm=next(values))

    return [
        dataclasses.replace(  # type: ignore[type-var]  # a Protocol cannot say that it is a dataclass
            one,
            these_checkpoints=adjust(one.these_checkpoints, checkpoints),
            methods_retrained=None if one.methods_retrained is None else adjust(one.methods_retrained, methods),
        )
        for one in found
    ]
