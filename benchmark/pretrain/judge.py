"""`bench retrieval`: a checkpoint against held-out frames."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmark.config import settle
from benchmark.errors import ConfigError
from benchmark.pretrain.data_config import DataConfig
from benchmark.pretrain.loading import load_pretraining
from benchmark.pretrain.retrieval import retrieval
from benchmark.pretrain.run import open_teacher
from benchmark.pretrain.sources import load_data, open_frames
from benchmark.pretrain.teacher_features import TeacherFeatures
from benchmark.protocol import Runtime
from benchmark.report.table import Table
from benchmark.runtime import resolve_device, resolve_workers
from methods.weights import weights_folder


def judge(weights: Path, data: Sequence[str] | None, overrides: Sequence[str], teacher: str | None, galleries: int,
          seed: int, runtime: Runtime, cache: Path) -> dict[str, Any]:  # fmt: skip
    """Recall of a checkpoint's clouds; see `benchmark.pretrain.retrieval`. Raises `ConfigError` or `BadWeights`."""
    model, card = load_pretraining(weights)
    if model.contrast is None:
        raise ConfigError(f"{weights} was pre-trained without contrast: it shares no space with pictures or text")
    chosen = teacher or card["identity"]["teacher"]
    if chosen != card["identity"]["teacher"]:
        raise ConfigError(f"{weights} was taught by {card['identity']['teacher']}; another teacher's space is another")
    frames = open_frames(_sources(card, data, overrides), cache, True, resolve_workers(runtime))
    device = resolve_device(runtime)
    taught = TeacherFeatures(frames, open_teacher(chosen, weights_folder(runtime.weights_dir)), cache, device)
    try:
        found = retrieval(model, frames, taught, galleries, seed, device)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    same = frames.content_hash == card["data_hash"]
    return {"weights": str(weights), "label": card["label"], "teacher": card["teacher"], "data": frames.summary(),
            "trained_on_it": same, **found}  # fmt: skip


def _sources(card: dict[str, Any], data: Sequence[str] | None, overrides: Sequence[str]) -> list[DataConfig]:
    if data:
        return [load_data(name, overrides) for name in data]
    found = []
    for facts in card["identity"]["data"]:
        now = load_data(facts["name"], overrides)
        given = {text.partition("=")[0].rpartition(".")[2] for text in overrides}
        then = {name: value for name, value in facts.items() if name not in given}
        found.append(settle(DataConfig, {**dataclasses.asdict(now), **then}, facts["name"]))
    return found


def retrieval_table(found: dict[str, Any]) -> Table:
    rows = tuple(
        (row["query"], f"{100 * row['recall']:.1f} [{100 * row['low']:.0f}, {100 * row['high']:.0f}]",
         f"{100 * row['chance']:.1f}", str(row["queries"]))
        for row in found["results"]
    )  # fmt: skip
    notes = [
        f"{found['galleries']} galleries of {found['gallery']} held-out clouds, one of each trajectory; "
        f"{found['instructions']} instructions; teacher {found['teacher']}.",
        "image@k: a picture's own cloud is among its k nearest. text@k: one of the k nearest clouds is of that "
        "instruction. [low, high]: 95 % interval over queries, which share galleries.",
    ]
    if not found["trained_on_it"]:
        notes.append("These are other frames than the encoder was pre-trained beside.")
    return Table(f"Retrieval, {found['label']}, recall in %", ("query", "recall", "chance", "queries"), rows,
                 tuple(notes), text_columns=1)  # fmt: skip
