"""How well clouds are found by their image and by their instruction, on frames that were never trained on.

A gallery has one frame of each held-out trajectory, so that near-copies do not compete. An image has found its cloud
if that is among the k nearest; an instruction has, if one of the k nearest clouds is of that instruction.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from benchmark.pretrain.batches import Loader
from benchmark.pretrain.data.frames import Frames
from benchmark.report.statistics.intervals import wilson
from methods.objective import ObjectiveModel

KS = (1, 5)


def retrieval(model: ObjectiveModel, loader: Loader, galleries: int, seed: int, device: torch.device) -> dict[str, Any]:
    """Recall@1 and @5 of each query that the objective has, with 95 % intervals and what chance would give.

    CLAR's are image-to-cloud and text-to-cloud. galleries: how many are drawn, each over all held-out trajectories.
    Raises ValueError if the model has no space to look in, or too few trajectories are held out.
    """
    if model.why_no_pairs:
        raise ValueError(model.why_no_pairs)
    model.to(device).eval()
    frames, rng = loader.frames, np.random.default_rng(seed)
    hits: dict[str, list[int]] = {}
    chance: dict[str, list[float]] = {}
    size = 0
    for number in range(galleries):
        rows = _one_of_each(frames, frames.rows(held_out=True), rng)
        batch = {name: value.to(device) for name, value in loader.batch(rows, number).items()}
        size = len(rows)
        with torch.inference_mode():
            pairs = model.pairs(batch)
        for kind, queries in pairs.queries.items():
            groups = pairs.groups[kind].cpu() if kind in pairs.groups else torch.arange(size)
            asked = groups.unique()
            first = torch.stack([(groups == one).nonzero()[0, 0] for one in asked])  # one query a group
            scores = queries[first.to(queries.device)] @ pairs.own.T
            found = groups[scores.argsort(dim=1, descending=True, stable=True).cpu()]
            for k in KS:
                name = f"{kind}@{k}"
                hits.setdefault(name, []).extend((found[:, :k] == asked.unsqueeze(1)).any(1).int().tolist())
                blind = [min(1.0, k / size)]  # the same for all queries that are one frame's alone
                if kind in pairs.groups:
                    blind = [chance_of(int((groups == one).sum()), size, k) for one in asked]
                chance.setdefault(name, []).extend(blind)
    rows_out = []
    for name, values in hits.items():
        low, high = wilson(sum(values), len(values))
        rows_out.append(
            {
                "query": name,
                "recall": float(np.mean(values)),
                "low": low,
                "high": high,
                "queries": len(values),
                "chance": float(np.mean(chance[name])),
            }
        )
    return {"gallery": size, "galleries": galleries, "instructions": len(frames.sentences()), "results": rows_out}


def _one_of_each(frames: Frames, rows: np.ndarray, rng: np.random.Generator) -> Sequence[int]:
    by_trajectory: dict[str, list[int]] = {}
    for row in rows:
        shard, at = frames.place(int(row))
        by_trajectory.setdefault(shard.trajectories[at], []).append(int(row))
    if len(by_trajectory) < 2:
        raise ValueError(f"retrieval needs at least 2 held-out trajectories, not {len(by_trajectory)} (DATA.held_out)")
    return [int(rng.choice(found)) for _, found in sorted(by_trajectory.items())]


def chance_of(right: int, size: int, k: int) -> float:
    """That at least one of `right` is among k of `size` drawn at random."""
    miss = 1.0
    for taken in range(min(k, size)):
        miss *= max(0.0, (size - right - taken) / (size - taken))
    return 1 - miss
