"""`bench retrieval`: a checkpoint against held-out frames."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmark.pretrain.batches import Loader
from benchmark.pretrain.cross_retrieval import cross_retrieval, cross_table, recall_rows, write_matrix
from benchmark.pretrain.data.config import DataConfig
from benchmark.pretrain.data.sources import check_actions, load_data, open_frames, options_for
from benchmark.pretrain.job import NO_TEACHER
from benchmark.pretrain.loading import load_pretraining, objective_of
from benchmark.pretrain.objectives import check_fields, needs_pictures, needs_triplets
from benchmark.pretrain.retrieval import retrieval
from benchmark.pretrain.teacher_features import TeacherFeatures
from benchmark.records.pretraining_card import config_of
from benchmark.report.tables.table import Table
from benchmark.settings.load import settle
from benchmark.settings.machine import resolve_device, resolve_workers
from benchmark.settings.runtime import Runtime
from benchmark.system.errors import ConfigError
from envs.identity import added
from methods.objective import Objective, ObjectiveModel
from methods.weight_places import weights_folder


def judge(
    weights: Path,
    data: Sequence[str] | None,
    overrides: Sequence[str],
    teacher: str | None,
    galleries: int,
    seed: int,
    runtime: Runtime,
    cache: Path,
    selection: str | None = None,
    matrix: Path | None = None,
) -> dict[str, Any]:
    """Recall of a checkpoint's clouds, or between its modalities; see `benchmark.pretrain.retrieval` and
    `cross_retrieval`. selection, matrix: of modalities. Raises `ConfigError` or `BadWeights`.
    """
    folder = weights_folder(runtime.weights_dir)  # a text's tokens are looked for there, too
    model, card = load_pretraining(weights)
    if model.why_no_pairs and not model.modalities:
        raise ConfigError(f"{weights}: {model.why_no_pairs}")
    objective = objective_of(card)
    selection = _selection(objective, model, selection, matrix, weights)
    chosen = teacher or card["identity"]["teacher"]
    if chosen != card["identity"]["teacher"]:
        raise ConfigError(f"{weights} was taught by {card['identity']['teacher']}; another teacher's space is another")
    pictures = needs_pictures(objective.fields)
    triplets = needs_triplets(objective.fields)
    sources = _sources(card, data, overrides)
    if model.action_size is not None:
        check_actions(sources, model.action_size)
    frames = open_frames(sources, cache, pictures, resolve_workers(runtime), triplets)
    check_fields(frames, objective.fields)
    device = resolve_device(runtime)
    taught = None
    if chosen != NO_TEACHER:
        taught = TeacherFeatures(frames, objective.open_teacher(chosen, folder), cache, device)
    loader = Loader(frames, objective, taught, 1, seed)
    try:
        if model.modalities:
            found = cross_retrieval(model, loader, selection, device)
            if matrix is not None:
                write_matrix(matrix, model, loader, device)
        else:
            found = retrieval(model, loader, galleries, seed, device)
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


def _selection(
    objective: Objective, model: ObjectiveModel, asked: str | None, matrix: Path | None, weights: Path
) -> str:
    """The rule that chooses the examples, by default the objective's first. Raises `ConfigError`."""
    if not model.modalities and (asked is not None or matrix is not None):
        raise ConfigError(
            f"{weights}: --select and --matrix are for encoders whose modalities find each other (CLAMP's)"
        )
    if asked is not None and asked not in objective.selections:
        raise ConfigError(f"--select {asked} is none of {', '.join(objective.selections)}")
    return asked or objective.selections[0]


def _sources(card: dict[str, Any], data: Sequence[str] | None, overrides: Sequence[str]) -> list[DataConfig]:
    named = list(data or (facts["name"] for facts in card["identity"]["data"]))
    _refuse_idle([load_data(name) for name in named], overrides)
    if data:
        layout = config_of(card).view_layout
        return [dataclasses.replace(load_data(name, overrides), layout=layout) for name in data]
    found = []
    for facts in card["identity"]["data"]:
        now, prefix = load_data(facts["name"], overrides), f"{facts['name']}."
        own = [text.removeprefix(prefix) for text in overrides if text.startswith(prefix)]
        given = {text.partition("=")[0].partition(".")[0] for text in own}
        # what the card leaves out had its default then, which is not always the source's own of today
        then = {name: value for name, value in {**added(DataConfig), **facts}.items() if name not in given}
        said = [text.partition(".")[2] for text in options_for(now.kind, overrides)]
        then["env_options"] = [*then.get("env_options", now.env_options), *said]
        found.append(settle(DataConfig, {**dataclasses.asdict(now), **then}, facts["name"]))
    return found


def _refuse_idle(sources: Sequence[DataConfig], overrides: Sequence[str]) -> None:
    """Raises `ConfigError` for a setting that is of none of the sources, which would change nothing."""
    names = [source.name for source in sources]
    for text in overrides:
        of_a_simulator = any(options_for(source.kind, [text]) for source in sources)
        if not (of_a_simulator or text.startswith(tuple(f"{name}." for name in names))):
            raise ConfigError(f"{text} changes nothing here: settings are those of {', '.join(names)}, NAME.KEY=VALUE")


def retrieval_table(found: dict[str, Any]) -> Table:
    if "selection" in found:
        return cross_table(found)
    rows = recall_rows(found)
    notes = [
        f"{found['galleries']} galleries of {found['gallery']} held-out clouds, one of each trajectory; "
        f"{found['instructions']} instructions; teacher {found['teacher']}.",
        "image@k: an image's own cloud is among its k nearest. text@k: one of the k nearest clouds is of that "
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
