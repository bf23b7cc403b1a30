"""Records as the plain data that the report's pages read."""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmark.records.flat_rows import names
from benchmark.records.read import BadRecord
from benchmark.records.record import Evaluation, Record
from benchmark.records.shifted_retests import read_shifts
from benchmark.report.comparisons.comparable import comparable, reference_mark
from benchmark.report.method_colours import colour_of
from benchmark.report.plots import shift_curves
from benchmark.report.statistics.crossed import Scope
from benchmark.report.statistics.intervals import inflation, iqm, iqm_interval, kendall_tau, mean, wilson
from benchmark.report.statistics.outcomes import scope_of
from benchmark.report.tables.mean_cells import Runs, interval_notes, rates_interval, shared_variances
from benchmark.report.tables.measured_cells import mark

Placed = Sequence[tuple[Path, Record]]


def slug(record: Record) -> str:
    """The name of a cell's page: readable, safe everywhere, and different for every cell."""
    name = f"{record.protocol}-{record.suite}-{record.task}-{record.method}-{record.head}-s{record.seed}"
    tail = hashlib.sha256(f"{name}|{record.identity_hash}".encode()).hexdigest()[:6]
    return re.sub(r"[^A-Za-z0-9.-]+", "_", name)[:90] + "-" + tail


def row(record: Record) -> dict[str, Any]:
    """A cell in the list of all. `gap`: best* minus retest; `expected`: the selection bias alone,
    None where nothing is selected."""
    test, best, last = record.retest.tally, record.best, record.last
    low, high = wilson(test.k, test.n)
    looks = [e.tally.n for e in record.evaluations if e.tally.n]
    known = bool(test.n and best.n)
    return {
        "id": slug(record),
        **names(record),
        "note": _note([record]),
        "best": [best.k, best.n],
        "retest": [test.k, test.n],
        "low": low,
        "high": high,
        "last": [last.k, last.n],
        "errors": record.errors,
        "failed_actions": record.failed_actions,
        "gap": best.rate - test.rate if known else None,
        "expected": inflation(test.rate, len(looks), round(mean(looks)))
        if known and looks and record.selects
        else None,
        "selects": record.selects,
        "steps": record.training.get("optimizer_steps"),
        "batch": record.training.get("batch_size"),
        "seconds": round(sum(record.timings.values()), 1),
        "encoder": record.training.get("parameters_encoder"),
        "trained": record.training.get("parameters_trained"),
        "curve": [[e.epoch, e.tally.k, e.tally.n] for e in record.evaluations],
    }


def _note(records: Sequence[Record]) -> str:
    """What the page sets in brackets behind a method's name: "untrained, reference"."""
    return ", ".join(filter(None, (mark(records).strip(), reference_mark(records).strip(" ()"))))


def cell(record: Record, path: Path, media: dict[str, Any] | None = None) -> dict[str, Any]:
    """All that a cell's own page shows."""
    shifts, damage = shifts_of(path, record)
    return {
        **row(record),
        "title": record.card.get("title", record.method),
        "record": path.name,
        "selected": record.selected_epoch,
        "evaluations": [_episodes(e) for e in record.evaluations],
        "retested": _episodes(record.retest),
        "losses": record.training.get("train_loss", []),
        "held_out": [[e.epoch, e.valid_loss] for e in record.evaluations if e.valid_loss is not None],
        "shifts": {name: _episodes(e) for name, e in shifts.items()},
        "damage": damage,
        "curves": _curves(record, shifts),
        "timings": record.timings,
        "card": record.card,
        "identity": record.identity,
        "identity_hash": record.identity_hash,
        "demo_hash": record.demo_hash,
        "demos": record.demos,
        "success_rule": record.success_rule,
        "horizon": record.horizon,
        "fingerprint": record.fingerprint,
        "weights": record.weights,
        "frozen": record.frozen,
        "provenance": record.provenance,
        "migrated": record.migrated,
        "media": media or {},
    }


def _episodes(evaluation: Evaluation) -> dict[str, Any]:
    """Each episode as [seed, outcome 0, 1 or -1 for an error, steps]."""
    rows = [[seed, -1 if error else won, steps] for seed, won, steps, error in evaluation.episodes]
    return {"epoch": evaluation.epoch, "k": evaluation.tally.k, "n": evaluation.tally.n, "episodes": rows}


def shifts_of(path: Path, record: Record) -> tuple[dict[str, Evaluation], str | None]:
    try:
        return read_shifts(path, record), None
    except BadRecord as error:
        return {}, str(error)


def _curves(record: Record, shifts: dict[str, Evaluation]) -> list[dict[str, Any]]:
    """Success over each axis along which a camera was moved."""
    found = []
    for (camera, axis), points in shift_curves(record, shifts).items():
        bands = [wilson(tally.k, tally.n) for _, tally in points]
        found.append(
            {
                "camera": camera,
                "axis": axis,
                "points": [[x, t.rate, *band] for (x, t), band in zip(points, bands, strict=True) if t.n],
            }
        )
    return found


def groups(placed: Placed) -> list[dict[str, Any]]:
    """Each suite under each protocol: its methods' curves, summaries, heads, and curves over the camera.

    What was made under other conditions is in no mean and no curve of several cells, but named in `apart`.
    """
    by_group: dict[tuple[str, str], list[tuple[Path, Record]]] = defaultdict(list)
    for path, record in placed:
        by_group[record.suite, record.protocol].append((path, record))
    return [_group(suite, protocol, members) for (suite, protocol), members in sorted(by_group.items())]


def _group(suite: str, protocol: str, members: Placed) -> dict[str, Any]:
    by_method: dict[tuple[str, str], dict[str, list[Record]]] = defaultdict(lambda: defaultdict(list))
    kept, apart = comparable([record for _, record in members])
    for record in kept:
        by_method[record.method, record.head][record.task].append(record)
    tasks = sorted({record.task for _, record in members})
    return {
        "suite": suite,
        "protocol": protocol,
        "tasks": tasks,
        "methods": [_method(*key, by_task, tasks) for key, by_task in sorted(by_method.items())],
        "heads": _heads(by_method),
        "cameras": _cameras(members),
        "apart": apart,
        "intervals": interval_notes(kept),
    }


def _method(method: str, head: str, by_task: dict[str, list[Record]], tasks: list[str]) -> dict[str, Any]:
    """Summary over the tasks that it has. seconds and steps: mean of a cell. over_seeds: whether the mean's interval is
    over training seeds; by_seed: whether the IQM's is."""
    records = [record for of_task in by_task.values() for record in of_task]
    retests: Runs = {
        task: [(r, r.retest) for r in sorted(of_task, key=lambda r: r.seed) if r.retest.tally.n]
        for task, of_task in by_task.items()
    }
    retests = {task: of_task for task, of_task in retests.items() if of_task}
    runs = {task: [(r.retest.tally.k, r.retest.tally.n) for r, _ in of_task] for task, of_task in retests.items()}
    phases = sorted({name for record in records for name in record.timings})
    found: dict[str, Any] = {
        "method": method,
        "head": head,
        "note": _note(records),
        "cells": len(records),
        "tasks": len(runs),
        "of": len(tasks),
        "seeds": len({r.seed for r in records}),
        "steps": mean([r.training.get("optimizer_steps", 0) for r in records]),
        "seconds": mean([sum(r.timings.values()) for r in records]),
        "phases": {n: mean([r.timings.get(n, 0.0) for r in records]) for n in phases},
        "encoder": records[0].training.get("parameters_encoder"),
        "trained": records[0].training.get("parameters_trained"),
        "by_task": {task: list(rates_interval(retests, [task])[:3]) for task in retests},
        "counts": {task: _counts(of_task) for task, of_task in by_task.items()},
        "colour": colour_of(method),
        "epochs": _epochs(by_task),
    }
    if runs:
        average, low, high, _ = rates_interval(retests, list(retests))
        over_seeds = all(len(of_task) > 1 for of_task in retests.values())
        found |= {"mean": average, "low": low, "high": high, "over_seeds": over_seeds}
        every = [k / n for counts in runs.values() for k, n in counts]
        joint = scope_of(records) is Scope.JOINT and len({len(counts) for counts in runs.values()}) == 1
        iqm_low, iqm_high, by_seed = iqm_interval(runs, shared_variances(retests), joint)
        found |= {"iqm": iqm(every), "iqm_low": iqm_low, "iqm_high": iqm_high, "by_seed": by_seed}
    return found


def _counts(records: Sequence[Record]) -> list[int]:
    """Successes and episodes of the retests of one task, training seeds, episodes that could not be run."""
    tallies = [record.retest.tally for record in records]
    return [sum(t.k for t in tallies), sum(t.n for t in tallies), len(records), sum(r.errors for r in records)]


def _epochs(by_task: dict[str, list[Record]]) -> dict[str, list[list[float]]]:
    """Task, or `mean` -> [epoch, rate, low, high] at the epochs that all of its cells were evaluated at."""
    found = {task: _curve({task: records}) for task, records in by_task.items()}
    return found | ({"mean": _curve(by_task)} if len(by_task) > 1 else {})


def _curve(tasks: Mapping[str, Sequence[Record]]) -> list[list[float]]:
    at = {task: [(r, {e.epoch: e for e in r.evaluations}) for r in records] for task, records in tasks.items()}
    points = []
    for epoch in sorted(set.intersection(*(set(known) for of_task in at.values() for _, known in of_task))):
        runs = {task: [(record, known[epoch]) for record, known in of_task] for task, of_task in at.items()}
        rate, low, high, count = rates_interval(runs, list(runs))
        if count:
            points.append([epoch, rate, low, high])
    return points


def _heads(by_method: dict[tuple[str, str], dict[str, list[Record]]]) -> dict[str, Any] | None:
    """Mean retest of every method under every head over the tasks that all of them have, and how heads' rankings agree.

    Encoder rankings depend on the head (Hu et al. 2023). None where there is one head only.
    """
    heads = sorted({head for _, head in by_method})
    if len(heads) < 2:
        return None
    common = set.intersection(*(set(by_task) for by_task in by_method.values()))
    rates = {
        key: mean([mean([r.retest.tally.rate for r in by_task[task]]) for task in sorted(common)])
        for key, by_task in by_method.items()
        if common and all(r.retest.tally.n for task in common for r in by_task[task])
    }
    methods = sorted({method for method, _ in rates})
    taus = []
    for i, first in enumerate(heads):
        for second in heads[i + 1 :]:
            both = [m for m in methods if (m, first) in rates and (m, second) in rates]
            tau = kendall_tau([rates[m, first] for m in both], [rates[m, second] for m in both])
            taus.append({"first": first, "second": second, "methods": len(both), "tau": tau})
    cells = [[rates.get((method, head)) for head in heads] for method in methods]
    return {"heads": heads, "methods": methods, "cells": cells, "tasks": sorted(common), "tau": taus}


def _cameras(members: Placed) -> list[dict[str, Any]]:
    """Success over the camera's pose, for each cell that was retested so."""
    found = []
    for path, record in members:
        for curve in _curves(record, shifts_of(path, record)[0]):
            found.append(
                {"task": record.task, "method": record.method, "head": record.head, "seed": record.seed, **curve}
            )
    return found
