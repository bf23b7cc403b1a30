"""The interval beside a mean in a table: over training seeds where there are some, else of the rollouts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchmark.records.record import Evaluation, Record
from benchmark.report.statistics.crossed import Scope, contrast
from benchmark.report.statistics.intervals import mean, mean_interval
from benchmark.report.statistics.one_seed import ONE_SEED
from benchmark.report.statistics.outcomes import Aligned, Played, align, drops, scope_of, successes
from benchmark.report.statistics.paired import Pairs, difference
from benchmark.report.statistics.rate import within_0_and_1

Runs = Mapping[str, Sequence[tuple[Record, Evaluation | None]]]
"""Task -> records of one method, each with the evaluation that counts, None where there is none."""


def rates_interval(found: Runs, tasks: Sequence[str]) -> tuple[float, float, float, int]:
    """Mean over `tasks` of a method's success rate, its 95 % interval, and how many tasks are in it; (0, 0, 1, 0) where
    nothing was played.

    A task's rate is of all its rollouts. Where every task has two training seeds or more the interval is over seeds and
    the episodes that they share; where every task has one, Wilson's (one task) or of Jeffreys' posteriors (several); in
    between over episodes alone.
    """
    present = _present(found, tasks)
    if not present:
        return 0.0, 0.0, 1.0, 0
    counts = [(sum(e.tally.k for _, e in of), sum(e.tally.n for _, e in of)) for of in present.values()]
    rate = mean([k / n for k, n in counts])
    if all(len(of) == 1 for of in present.values()):
        return rate, *mean_interval(counts), len(present)
    data, scope = _aligned(present, {task: {r.seed: successes(e) for r, e in of} for task, of in present.items()})
    if len(data.tasks) < len(present):  # a task whose seeds could be run on no two common episodes
        return rate, 0.0, 1.0, len(present)
    made = contrast(data.arms, [1], scope)
    half = made.of_methods() if made.fewest > 1 else made.of_checkpoints()
    low, high = within_0_and_1(rate, half, sum(n for _, n in counts))
    return rate, float(low), float(high), len(present)


def drop_interval(found: Runs, tasks: Sequence[str]) -> tuple[float, float, float, int]:
    """The same of the retest minus the evaluation beside it, episode by episode; Agresti and Min's with one seed."""
    present = _present(found, tasks)
    played: dict[str, dict[int, dict[int, float]]] = {
        task: {r.seed: drops(r.retest, e) for r, e in of} for task, of in present.items()
    }
    played = {task: seeds for task, seeds in played.items() if any(seeds.values())}
    data, scope = _aligned(present, played)
    if not data.tasks:
        return 0.0, -1.0, 1.0, 0
    if data.most == 1:
        values = [arm[0] for arm in data.arms[0]]
        pairs = [Pairs(d.size, int((d > 0).sum()), int((d < 0).sum())) for d in values]
        return *difference(pairs), len(data.tasks)
    made = contrast(data.arms, [1], scope)
    half = float(made.of_methods() if made.fewest > 1 else made.of_checkpoints())
    value = float(made.estimate)
    return value, max(-1.0, value - half), min(1.0, value + half), len(data.tasks)


def shared_variances(found: Runs) -> dict[str, float]:
    """Task -> what the episodes that all its training seeds play add to the variance of their mean; 0 with one seed."""
    variances = {}
    for task, of_task in _present(found, list(found)).items():
        data, scope = _aligned({task: of_task}, {task: {r.seed: successes(e) for r, e in of_task}})
        many = bool(data.tasks) and data.fewest > 1
        variances[task] = float(contrast(data.arms, [1], scope).shared_variance) if many else 0.0
    return variances


def _present(found: Runs, tasks: Sequence[str]) -> dict[str, list[tuple[Record, Evaluation]]]:
    there = {task: [(r, e) for r, e in found.get(task, ()) if e is not None and e.tally.n] for task in tasks}
    return {task: of for task, of in there.items() if of}


def _aligned(
    present: Mapping[str, Sequence[tuple[Record, Evaluation]]], played: Mapping[str, Played]
) -> tuple[Aligned, Scope]:
    scope = scope_of([record for of_task in present.values() for record, _ in of_task])
    return align([played], list(played), scope), scope


def interval_notes(records: Sequence[Record]) -> list[str]:
    """What the intervals of a table are, computed from what is in it. records: those of its means."""
    seeds: dict[tuple[str, str, str], set[int]] = {}
    for record in records:
        if record.retest.tally.n:
            seeds.setdefault((record.method, record.head, record.task), set()).add(record.seed)
    if not seeds:
        return []
    single = sorted({f"{method}, {head}" for (method, head, _), of in seeds.items() if len(of) == 1})
    several = any(len(of) > 1 for of in seeds.values())
    notes = []
    if several:
        notes.append(
            "[low, high]: 95 % interval over training seeds and episodes, the training seed as the unit "
            f"({_counts(seeds)}); it answers: what would the method do if it were trained again."
        )
    if single and several:
        notes.append(f"[low, high] of {'; '.join(single)}: of these rollouts; {ONE_SEED}.")
    elif single:
        notes.append(f"[low, high]: 95 % interval of these rollouts; {ONE_SEED}.")
    return notes


def _counts(seeds: Mapping[tuple[str, str, str], set[int]]) -> str:
    counts = sorted({len(of) for of in seeds.values() if len(of) > 1})
    return f"{counts[0]} seeds" if len(counts) == 1 else f"{counts[0]} to {counts[-1]} seeds"
