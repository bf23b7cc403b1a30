"""How well clouds are found by their picture and by their instruction, on frames that were never trained on.

A gallery has one frame of each held-out trajectory, so that near-copies do not compete. A picture has found its cloud
if that is among the k nearest; an instruction has, if one of the k nearest clouds is of that instruction.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from benchmark.pretrain.batches import Loader
from benchmark.pretrain.frames import Frames
from benchmark.pretrain.teacher_features import TeacherFeatures
from benchmark.report.stats import wilson
from methods.clar.pretraining import Pretraining

KS = (1, 5)


def retrieval(model: Pretraining, frames: Frames, taught: TeacherFeatures, galleries: int, seed: int,
              device: torch.device) -> dict[str, Any]:  # fmt: skip
    """Recall@1 and @5 of image-to-cloud and text-to-cloud, with 95 % intervals and what chance would give.

    galleries: how many are drawn, each over all held-out trajectories.
    """
    if model.contrast is None:
        raise ValueError("this encoder was pre-trained without contrast: it shares no space with pictures or text")
    model.to(device).eval()
    loader = Loader(frames, taught, 1, seed)
    rng = np.random.default_rng(seed)
    hits: dict[str, list[int]] = {f"{kind}@{k}": [] for kind in ("image", "text") for k in KS}
    chance: dict[str, list[float]] = {name: [] for name in hits}
    size = 0
    for number in range(galleries):
        rows = _one_of_each(frames, frames.rows(held_out=True), rng)
        batch = {name: value.to(device) for name, value in loader.batch(rows, number).items()}
        size = len(rows)
        clouds, images = _embed(model, batch), functional.normalize(batch["image_feature"].float(), dim=-1)
        found = (images @ clouds.T).argsort(dim=1, descending=True, stable=True).cpu()
        said = batch["said"].cpu()
        asked = said.unique()
        texts = functional.normalize(taught.texts[asked].to(device), dim=-1)
        by_text = said[(texts @ clouds.T).argsort(dim=1, descending=True, stable=True).cpu()]
        for k in KS:
            hits[f"image@{k}"] += (found[:, :k] == torch.arange(size).unsqueeze(1)).any(1).int().tolist()
            hits[f"text@{k}"] += (by_text[:, :k] == asked.unsqueeze(1)).any(1).int().tolist()
            chance[f"image@{k}"].append(min(1.0, k / size))
            chance[f"text@{k}"] += [_chance(int((said == one).sum()), size, k) for one in asked]
    rows_out = []
    for name, values in hits.items():
        low, high = wilson(sum(values), len(values))
        rows_out.append({
            "query": name, "recall": float(np.mean(values)), "low": low, "high": high, "queries": len(values),
            "chance": float(np.mean(chance[name])),
        })  # fmt: skip
    return {"gallery": size, "galleries": galleries, "instructions": len(taught.sentences), "results": rows_out}


@torch.inference_mode()
def _embed(model: Pretraining, batch: dict[str, Tensor]) -> Tensor:
    assert model.contrast is not None
    return model.contrast.embed(model.representation.encode(batch))


def _one_of_each(frames: Frames, rows: np.ndarray, rng: np.random.Generator) -> Sequence[int]:
    by_trajectory: dict[str, list[int]] = {}
    for row in rows:
        shard, at = frames.place(int(row))
        by_trajectory.setdefault(shard.trajectories[at], []).append(int(row))
    if len(by_trajectory) < 2:
        raise ValueError(f"retrieval needs at least 2 held-out trajectories, not {len(by_trajectory)} (DATA.held_out)")
    return [int(rng.choice(found)) for _, found in sorted(by_trajectory.items())]


def _chance(right: int, size: int, k: int) -> float:
    """That at least one of `right` is among k of `size` drawn at random."""
    miss = 1.0
    for taken in range(min(k, size)):
        miss *= max(0.0, (size - right - taken) / (size - taken))
    return 1 - miss
