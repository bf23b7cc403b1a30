"""`bench retrieval`: a checkpoint against held-out frames."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmark.pretrain.batches import Loader
from benchmark.pretrain.data.config import DataConfig
from benchmark.pretrain.data.sources import load_data, open_frames
from benchmark.pretrain.job import NO_TEACHER
from benchmark.pretrain.loading import load_pretraining, objective_of
from benchmark.pretrain.objectives import check_fields, needs_pictures
from benchmark.pretrain.retrieval import retrieval
from benchmark.pretrain.teacher_features import TeacherFeatures
from benchmark.report.tables.table import Table
from benchmark.settings.load import settle
from benchmark.settings.machine import resolve_device, resolve_workers
from benchmark.settings.runtime import Runtime
from benchmark.system.errors import ConfigError
from methods.weights import weights_folder


def judge(
    weights: Path,
    data: Sequence[str] | None,
    overrides: Sequence[str],
    teacher: str | None,
    galleries: int,
    seed: int,
    runtime: Runtime,
    cache: Path,
) -> dict[str, Any]:
    """Recall of a checkpoint's clouds; see `benchmark.pretrain.retrieval`. Raises `ConfigError` or `BadWeights`."""
    model, card = load_pretraining(weights)
    if model.why_no_pairs:
        raise ConfigError(f"{weights}: {model.why_no_pairs}")
    objective = objective_of(card)
    chosen = teacher or card["identity"]["teacher"]
    if chosen != card["identity"]["teacher"]:
        raise ConfigError(f"{weights} was taught by {card['identity']['teacher']}; another teacher's space is another")
    pictures = needs_pictures(objective.fields)
    frames = open_frames(_sources(card, data, overrides), cache, pictures, resolve_workers(runtime))
    check_fields(frames, objective.fields)
    device = resolve_device(runtime)
    taught = None
    if chosen != NO_TEACHER:
        taught = TeacherFeatures(
            frames, objective.open_teacher(chosen, weights_folder(runtime.weights_dir)), cache, device
        )
    try:
        found = retrieval(model, Loader(frames, objective, taught, 1, seed), galleries, seed, device)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    same = frames.content_hash == card["data_hash"]
    return {
        "weights": str(weights),
        "label": card["label"],
        "teacher": card["teacher"],
        "data": frames.summary(),
        "trained_on_it": same,
        **found,
    }


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
        (
            row["query"],
            f"{100 * row['recall']:.1f} [{100 * row['low']:.0f}, {100 * row['high']:.0f}]",
            f"{100 * row['chance']:.1f}",
            str(row["queries"]),
        )
        for row in found["results"]
    )
    notes = [
        f"{found['galleries']} galleries of {found['gallery']} held-out clouds, one of each trajectory; "
        f"{found['instructions']} instructions; teacher {found['teacher']}.",
        "image@k: a picture's own cloud is among its k nearest. text@k: one of the k nearest clouds is of that "
        "instruction. [low, high]: 95 % interval over queries, which share galleries.",
    ]
    if not found["trained_on_it"]:
        notes.append("These are other frames than the encoder was pre-trained beside.")
    return Table(
        f"Retrieval, {found['label']}, recall in %",
        ("query", "recall", "chance", "queries"),
        rows,
        tuple(notes),
        text_columns=1,
    )
