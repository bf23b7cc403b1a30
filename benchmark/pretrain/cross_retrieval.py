"""Recall of held-out examples in all directions between an objective's modalities (CLAMP, Fig. 7), and Fig. 8's matrix.

A query has found its example if that is among the k nearest of all. Examples that are equal in the query's modality or
in the one that is searched (before its first step every trajectory has the same past actions) cannot be told apart and
are right for each other; chance counts them, too.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmark.pretrain.batches import Loader
from benchmark.pretrain.retrieval import KS, chance_of
from benchmark.report.statistics.intervals import wilson
from benchmark.report.tables.table import Table
from benchmark.system.files import write_atomically
from methods.objective import ObjectiveModel, Row

AT_ONCE = 32
SHOWN = 24
"""Examples of a matrix at most."""


def held_out_examples(loader: Loader, selection: str) -> list[int]:
    """Frame numbers of the examples that the objective selects. Raises ValueError for fewer than two."""
    frames = loader.frames
    numbers = [int(row) for row in frames.rows(held_out=True)]
    places = [frames.place(number) for number in numbers]
    rows = [Row(shard.fields, at, shard.instructions[at]) for shard, at in places]
    trajectories = [shard.trajectories[at] for shard, at in places]
    chosen = loader.objective.examples(rows, trajectories, selection)
    if len(chosen) < 2:
        raise ValueError(
            f"retrieval needs at least 2 held-out examples, not {len(chosen)} of {len(numbers)} held-out frames "
            "(DATA.held_out, DATA.stride)"
        )
    return [numbers[index] for index in chosen]


def embedded(
    model: ObjectiveModel, loader: Loader, rows: Sequence[int], device: torch.device
) -> tuple[dict[str, Tensor], dict[str, list[bytes]]]:
    """Unit vectors (n, D) of each modality, on the CPU, and a digest of what each was computed from."""
    model.to(device).eval()
    vectors: dict[str, list[Tensor]] = {name: [] for name in model.modalities}
    contents: dict[str, list[bytes]] = {name: [] for name in model.modalities}
    for first in range(0, len(rows), AT_ONCE):
        batch = loader.batch(rows[first : first + AT_ONCE], first)
        with torch.inference_mode():
            found = model.spaces({name: value.to(device) for name, value in batch.items()})
        for name, field in model.modalities.items():
            vectors[name].append(found[name].cpu())
            contents[name] += [hashlib.sha256(value.numpy().tobytes()).digest() for value in batch[field]]
    return {name: torch.cat(values) for name, values in vectors.items()}, contents


def cross_retrieval(model: ObjectiveModel, loader: Loader, selection: str, device: torch.device) -> dict[str, Any]:
    """Recall@1 and @5 for every ordered pair of modalities, with 95 % intervals and what chance would give."""
    rows = held_out_examples(loader, selection)
    vectors, contents = embedded(model, loader, rows, device)
    same = {name: _equal(values) for name, values in contents.items()}
    results = []
    for asked in model.modalities:
        for searched in model.modalities:
            if asked == searched:
                continue
            right = same[asked] | same[searched]
            order = (vectors[asked] @ vectors[searched].T).argsort(dim=1, descending=True, stable=True)
            hits = torch.from_numpy(right).gather(1, order)
            for k in KS:
                values = hits[:, :k].any(dim=1).int().tolist()
                low, high = wilson(sum(values), len(values))
                results.append(
                    {
                        "query": f"{asked}-to-{searched}@{k}",
                        "recall": float(np.mean(values)),
                        "low": low,
                        "high": high,
                        "queries": len(values),
                        "chance": float(np.mean([chance_of(int(row.sum()), len(rows), k) for row in right])),
                    }
                )
    tasks = {loader.frames.place(row)[0].task for row in rows}
    return {"gallery": len(rows), "tasks": len(tasks), "selection": selection, "results": results}


def recall_rows(found: dict[str, Any]) -> tuple[tuple[str, ...], ...]:
    """Of a retrieval table: query, recall with its interval, chance, how many queries."""
    return tuple(
        (
            row["query"],
            f"{100 * row['recall']:.1f} [{100 * row['low']:.0f}, {100 * row['high']:.0f}]",
            f"{100 * row['chance']:.1f}",
            str(row["queries"]),
        )
        for row in found["results"]
    )


def cross_table(found: dict[str, Any]) -> Table:
    rows = recall_rows(found)
    notes = [
        f"One gallery of {found['gallery']} held-out examples of {found['tasks']} tasks, selected by "
        f"{found['selection']}. a-to-b@k: of an example's a, its b is among the k nearest b.",
        "Examples that are equal in a or in b are right for each other. [low, high]: 95 % interval over queries.",
    ]
    if not found["trained_on_it"]:
        notes.append("These are other frames than the encoders were pre-trained beside.")
    return Table(
        f"Retrieval, {found['label']}, recall in %",
        ("query", "recall", "chance", "queries"),
        rows,
        tuple(notes),
        text_columns=1,
    )


def write_matrix(path: Path, model: ObjectiveModel, loader: Loader, device: torch.device) -> None:
    """Fig. 8: how likely moments of one held-out trajectory match each other, by the loss's own probability, between
    the first and the last modality (CLAMP's image and action), in both directions.

    The trajectory is the one with the most examples, the first of equals.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    by_trajectory: dict[str, list[int]] = {}
    pair = (next(iter(model.modalities)), tuple(model.modalities)[-1])
    for row in held_out_examples(loader, "all"):
        shard, at = loader.frames.place(row)
        by_trajectory.setdefault(shard.trajectories[at], []).append(row)
    name, rows = max(by_trajectory.items(), key=lambda item: len(item[1]))
    vectors, _ = embedded(model, loader, rows[:SHOWN], device)
    with torch.inference_mode():
        values = model.cpu().probabilities(pair, vectors[pair[0]], vectors[pair[1]]).numpy()
    figure = Figure(figsize=(9, 4.2), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(f"{name}, {len(values)} examples in the order of time", fontsize=10)
    for number, (one, other) in enumerate((pair, pair[::-1])):
        matrix = values.T if number else values
        axes = figure.add_subplot(1, 2, number + 1)
        drawn = axes.imshow(matrix, cmap="viridis", vmin=0, vmax=max(1e-9, float(matrix.max())))
        axes.set_xlabel(other, fontsize=9)
        axes.set_ylabel(one, fontsize=9)
        axes.set_title(f"{one} to {other}", fontsize=9)
    figure.colorbar(drawn, ax=figure.axes, shrink=0.8, label="probability of a match")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    write_atomically(path, lambda file: file.write(buffer.getvalue()))


def _equal(contents: Sequence[bytes]) -> np.ndarray:
    """(n, n) bool: which have equal contents."""
    _, number = np.unique(np.array([value.hex() for value in contents]), return_inverse=True)
    return number[:, None] == number[None]
