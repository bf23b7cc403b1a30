"""What one training seed of each method can say: about these checkpoints, and what would have to hold for more."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from benchmark.report.statistics.crossed import LEAST_P, Scope
from benchmark.report.statistics.quantiles import beyond_student, normal, student

ONE_SEED = "one training seed: says nothing about retraining"
TASKS_FOR_T = 5
"""With fewer separately trained tasks their differences are too few to estimate a variance from."""


def tipping_spread(difference: float, variance: float, tasks: int, scope: Scope, alpha: float = 0.05) -> float:
    """A difference between two checkpoints would hold over retrainings only if the spread over seeds were below this.

    variance: of the difference over episodes. The spread is the standard deviation of a task's true rate over training
    seeds, equal in both methods; 0 where even the checkpoints cannot be told apart.
    """
    room = max(0.0, (difference / float(normal(alpha))) ** 2 - variance)
    return math.sqrt(room * (tasks if scope is Scope.PER_TASK else 1) / 2)


def over_tasks(differences: Sequence[float], alpha: float = 0.05) -> tuple[float, float, float]:
    """Mean of the tasks' differences: half width, p, and degrees of freedom, by Student's t over the tasks.

    Each separately trained task brings a training seed of its own, so the differences scatter by retraining as well as
    by episodes; real differences between tasks make the interval wider than it need be. Five tasks or more.
    """
    values = np.asarray(differences, dtype=np.float64)
    if len(values) < TASKS_FOR_T:
        raise ValueError(f"{len(values)} tasks: the t-test over separately trained tasks needs {TASKS_FOR_T}")
    error = values.std(ddof=1) / math.sqrt(len(values))
    df = len(values) - 1
    if error == 0:
        return 0.0, 1.0 if values.mean() == 0 else LEAST_P, df
    p = max(LEAST_P, float(beyond_student(values.mean() / error, df)))
    return float(student(df, alpha) * error), p, df
